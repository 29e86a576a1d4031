import { createServer, request as overHttp, type IncomingMessage } from 'node:http'
import { request as overHttps } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { FastifyInstance } from 'fastify'
import { decodeJwt } from 'jose'
import type { Test } from 'tap'
import { findFreePort } from '../../scripts/services/programs.ts'
import { build, promptServersEnv } from '../support/app.ts'
import { issueToken, signUp } from '../support/people.ts'
import { ownRedis, type OwnRedis } from '../support/redis-server.ts'
import type { Front } from './ask.ts'
import type { StartProtected } from './proxies.ts'

/** A request as the service behind the proxy received it. */
export interface Received {
  method: string
  url: string
  /** The names and the values, in turn, as they came. */
  rawHeaders: string[]
  body: string
}

export interface Scene {
  front: Front
  app: FastifyInstance
  redis: OwnRedis
  /** A token with the scope that the configurations require, of this session. */
  token: string
  userId: string
  sessionId: string
  /** Everything that the service has received. */
  received: Received[]
  /** The number of connections to signout, so far. */
  connections (): number
}

/** Starts signout with a Redis of its own, a service that records its requests, and a proxy in front of it. */
export async function setScene (t: Test, start: StartProtected): Promise<Scene> {
  const redis = await ownRedis(t)
  const app = await build(t, { ...await promptServersEnv(t), REDIS_URL: redis.url, BLOCKLIST_DEADLINE_MS: '1500' })
  let connections = 0
  app.server.on('connection', () => { connections++ })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const received: Received[] = []
  const service = createServer((request, response) => {
    text(request).then(body => {
      received.push({ method: request.method ?? '', url: request.url ?? '', rawHeaders: request.rawHeaders, body })
      response.end('the article')
    }, () => { response.destroy() })
  })
  const servicePort = await findFreePort()
  await new Promise<void>(resolve => { service.listen(servicePort, '127.0.0.1', resolve) })
  t.teardown(() => { service.closeAllConnections(); service.close() })
  const front = await start(t, { hosts: ['127.0.0.1', '127.0.0.1'], port, service: `127.0.0.1:${servicePort}` })
  return { front, app, redis, ...await tokenOf(app), received, connections: () => connections }
}

/** Returns a token of a new session, with the scope that the configurations require. */
export async function tokenOf (app: FastifyInstance) {
  const { sub: userId = '', sid } = decodeJwt((await signUp(app)).token)
  const subject = { userId, sessionId: String(sid), scope: 'articles:read' }
  return { ...subject, token: await issueToken(app, subject) }
}

interface Sent {
  token?: string
  /** Names and values in turn, which may repeat a name. */
  headers?: string[]
  body?: string | Buffer
  /** Sent in chunks, without a length. */
  isChunked?: boolean
}

/** Sends a request through the proxy, with headers exactly as given. */
export async function askRaw (front: Front, method: string, path: string, sent: Sent = {}) {
  const { token, headers = [], body = '', isChunked = false } = sent
  const host = ['Host', new URL(front.address).host]
  const all = [
    ...host, ...token === undefined ? [] : ['Authorization', `Bearer ${token}`], ...headers,
    ...isChunked ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', String(Buffer.byteLength(body))]
  ]
  const make = front.ca === undefined ? overHttp : overHttps
  const request = make(front.address, {
    method, path, headers: all, agent: false, ...front.ca !== undefined && { ca: front.ca }
  })
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve).once('error', reject)
  })
  request.end(body)
  const answer = await answered
  return { status: answer.statusCode, headers: answer.headers, rawHeaders: answer.rawHeaders, body: await text(answer) }
}

/** Returns the values of a header that a service may read under this name, whatever its case and its dashes are. */
export function valuesOf ({ rawHeaders }: Received, name: string): string[] {
  return rawHeaders.filter((_, index) =>
    index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase().replaceAll('_', '-') === name.toLowerCase())
}
