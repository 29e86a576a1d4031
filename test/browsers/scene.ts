import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import type { Test } from 'tap'
import { findFreePort } from '../../scripts/services/programs.ts'
import { SignoutError } from '../../src/errors.ts'
import { loadConfig } from '../../src/config.ts'
import { buildUnready, serversEnv } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import { cookieName } from '../support/cookie-client.ts'
import type { Owner } from '../support/teardown.ts'

/** A request that reached the service: `POST /logout 401`. */
export type Arrival = string

/** The origins of a test. Two ports of a host are two origins of one site; another host is another site. */
export interface Scene {
  browser: Browser
  app: FastifyInstance
  /** The origin of the service, and of ISSUER. */
  service: string
  /** An origin of CORS_ORIGINS, on the site of the service. */
  listed: string
  /** An origin of CORS_ORIGINS on another site. */
  listedElsewhere: string
  /** An origin that is not listed, on the site of the service. */
  sibling: string
  /** An origin that is not listed, on another site. */
  foreign: string
  /** Returns the requests that have been answered since the last call. */
  takeArrivals: () => Arrival[]
  /** Holds requests such as `POST /refresh` until so many of them have arrived. */
  gather: (request: string, count: number) => void
}

/** A host that is no loopback address for a browser. */
export const otherHost = 'auth.example.test'

/** Starts the service with COOKIES=on, two servers of empty pages, and a browser. */
export async function openScene (t: Test): Promise<Scene> {
  const [own, other] = [await servePages(t), await servePages(t)]
  const port = await findFreePort()
  const [service, listed, listedElsewhere] = [
    `http://localhost:${port}`, `http://localhost:${own}`, `http://127.0.0.1:${own}`
  ]
  const app = buildUnready(t, loadConfig({
    ...await serversEnv(t),
    ISSUER: service,
    COOKIES: 'on',
    CORS_ORIGINS: [listed, listedElsewhere].join(),
    LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '1/900'
  }))
  let arrivals: Arrival[] = []
  const gathering = { request: '', count: 0, held: [] as Array<() => void> }
  app.addHook('onRequest', async ({ method, url }) => {
    if (`${method} ${url}` !== gathering.request) return
    await new Promise<void>(resolve => {
      gathering.held.push(resolve)
      if (gathering.held.length < gathering.count) return
      gathering.request = ''
      for (const release of gathering.held.splice(0)) release()
    })
  })
  app.addHook('onResponse', async ({ method, url }, { statusCode }) => {
    arrivals.push(`${method} ${url.split('?')[0]} ${statusCode}`)
  })
  app.after(() => {
    app.get('/fail', async (_request, reply) => {
      reply.header('x-revocation-check', 'skipped')
      throw new SignoutError('service_unavailable')
    })
  })
  await app.listen({ port })
  return {
    browser: await openBrowser(t, [`--host-resolver-rules=MAP ${otherHost} 127.0.0.1`]),
    app,
    service,
    listed,
    listedElsewhere,
    sibling: `http://localhost:${other}`,
    foreign: `http://127.0.0.1:${other}`,
    takeArrivals () {
      const taken = arrivals
      arrivals = []
      return taken
    },
    gather (request, count) { Object.assign(gathering, { request, count }) }
  }
}

/** Starts a server whose pages are empty, and returns its port. */
async function servePages (t: Owner): Promise<number> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!DOCTYPE html><title>A page</title>')
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** The answer that a page got. It has only `unreadable` if the browser kept the answer from the page. */
export interface Got {
  unreadable?: boolean
  status?: number
  headers?: Record<string, string>
  body?: Record<string, unknown>
}

/** The options of a `fetch` in a page. */
export interface PageRequest {
  method?: string
  headers?: Record<string, string>
  body?: string
  credentials?: 'include'
  mode?: 'no-cors'
}

/** Sends a request from the script of a page. */
export function ask (page: Page, address: string, request: PageRequest = {}): Promise<Got> {
  return page.evaluate(`fetch(${JSON.stringify(address)}, ${JSON.stringify(request)}).then(async answer => {
    const text = await answer.text()
    const body = text === '' ? undefined : JSON.parse(text)
    return answer.type === 'opaque'
      ? { unreadable: true }
      : { status: answer.status, headers: Object.fromEntries(answer.headers), body }
  }, () => ({ unreadable: true }))`)
}

/** Returns the request of a cookie client. */
export function byCookie (method: string, body?: object, token?: string): PageRequest {
  return {
    method,
    credentials: 'include',
    headers: {
      'X-Signout-CSRF': '1',
      ...body !== undefined && { 'content-type': 'application/json' },
      ...token !== undefined && { authorization: `Bearer ${token}` }
    },
    ...body !== undefined && { body: JSON.stringify(body) }
  }
}

/** Opens a page of an origin. */
export async function openPage (context: BrowserContext, origin: string): Promise<Page> {
  const page = await context.newPage()
  await page.goto(origin)
  return page
}

/** Returns the refresh cookie that a browser keeps. */
export async function keptCookie (context: BrowserContext) {
  return (await context.cookies()).find(({ name }) => name === cookieName)
}
