import { request as overHttp, Agent as HttpAgent, type IncomingHttpHeaders } from 'node:http'
import { Agent as HttpsAgent, request as overHttps } from 'node:https'
import { text } from 'node:stream/consumers'
import type { Route } from '../support/requests.ts'

/** A proxy in front of replicas. */
export interface Front {
  address: string
  /** The authority of its certificate, if it speaks TLS. */
  ca?: string
}

/** An answer through a proxy. */
export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

interface AskOptions {
  /** The address of this machine that the client connects from. */
  from?: string
  body?: object
  headers?: Record<string, string>
  agent?: HttpAgent
}

/** Creates an agent with one connection, which it keeps. */
export function oneConnection ({ ca }: Front): HttpAgent {
  return ca === undefined
    ? new HttpAgent({ keepAlive: true, maxSockets: 1 })
    : new HttpsAgent({ keepAlive: true, maxSockets: 1, ca })
}

/** Sends a request through a proxy, on a connection of its own unless an agent keeps one. */
export async function ask (front: Front, route: Route, options: AskOptions = {}): Promise<Answer> {
  const [method = '', path = ''] = route.split(' ')
  const { from = '127.0.0.101', body, headers, agent = false } = options
  const payload = body === undefined ? '' : JSON.stringify(body)
  const request = (front.ca === undefined ? overHttp : overHttps)(new URL(path, front.address), {
    method,
    agent,
    localAddress: from,
    ...front.ca !== undefined && { ca: front.ca },
    headers: {
      ...body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) },
      ...headers
    }
  })
  return await new Promise((resolve, reject) => {
    request.once('error', reject)
    request.once('response', response => {
      text(response).then(
        body => { resolve({ status: response.statusCode ?? 0, headers: response.headers, body }) }, reject
      )
    })
    request.end(payload)
  })
}
