import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import {
  createClient, memoryStorage, type Client, type ClientEvent, type ClientOptions, type TokenStorage
} from '../../client/index.ts'
import { build, serversEnv, type Env } from '../support/app.ts'
import { findBreach } from '../support/contract.ts'
import { password, register } from '../support/people.ts'

/** A service that listens, for the tests of a file. */
export interface Service {
  app: FastifyInstance
  address: string
  env: Env
}

export async function startService (t: Test, settings: Env = {}): Promise<Service> {
  const env = { ...await serversEnv(t), RATE_LIMITS: 'off', ...settings }
  const app = await build(t, env)
  return { app, env, address: await app.listen({ port: 0, host: '127.0.0.1' }) }
}

/** An answer, an error or a wait in place of a request. `undefined` lets the request through. */
type Fault = (route: string, request: Request) => Response | undefined | Promise<Response | undefined>

/** The network of a client, which counts requests and can fail. */
export interface Network {
  fetch: typeof fetch
  /** Each request, as its route and its status: `POST /refresh 200`. `lost` stands for no answer. */
  said: string[]
  /** Returns how many requests to a route were sent. */
  count (route: string): number
  /** Called before each request. */
  before: Fault
  /** Called with each answer of the service before the client gets it. */
  after (route: string, answer: Response): Promise<void> | void
}

/** Every answer that comes from the service is compared with openapi.json. */
export function createNetwork (): Network {
  const network: Network = {
    said: [],
    count: route => network.said.filter(line => line.startsWith(`${route} `)).length,
    before: () => undefined,
    after: () => {},
    async fetch (input, init) {
      const request = new Request(input, init)
      const { pathname, search } = new URL(request.url)
      const route = `${request.method} ${pathname}${search}`
      try {
        const instead = await network.before(route, request)
        const answer = instead ?? await fetch(request)
        network.said.push(`${route} ${answer.status}`)
        const isOfService = instead === undefined && answer.headers.has('x-request-id')
        if (isOfService) await expectContract(request, pathname + search, answer)
        await network.after(route, answer)
        return answer
      } catch (error) {
        network.said.push(`${route} lost`)
        throw error
      }
    }
  }
  return network
}

async function expectContract ({ method }: Request, path: string, answer: Response): Promise<void> {
  const headers = Object.fromEntries(answer.headers)
  const breach = findBreach({ method, path, status: answer.status, headers, body: await answer.clone().text() })
  if (breach !== undefined) throw new Error(breach)
}

/** A client with its network, its storage and what it told its listeners. */
export interface Tab {
  client: Client
  network: Network
  storage: TokenStorage
  events: ClientEvent[]
}

/** Opens a client, which is closed when the test ends. Tabs of one user share a storage. */
export function openTab (
  t: Test, address: string, options: Partial<ClientOptions> = {}, network: Network = createNetwork()
): Tab {
  const storage = options.storage ?? memoryStorage()
  const client = createClient({ baseUrl: address, fetch: network.fetch, ...options, storage })
  t.teardown(() => { client.close() })
  const events: ClientEvent[] = []
  client.subscribe(event => { events.push(event) })
  return { client, network, storage, events }
}

/** Registers a user, and opens a client that is signed in. */
export async function openSignedIn (
  t: Test, { app, address }: Service, options: Partial<ClientOptions> = {}
): Promise<Tab & { username: string, userId: string }> {
  const { username, id } = await register(app)
  const tab = openTab(t, address, options)
  await tab.client.signIn({ username, password })
  tab.network.said.length = 0
  tab.events.length = 0
  return { ...tab, username, userId: id }
}

/** The stored pair. Tests look at it, and change it as another tab could. */
export interface StoredPair {
  session: string
  serial: number
  access: string
  refresh?: string
  expiresIn: number
  end?: string
}

export async function readPair (storage: TokenStorage): Promise<StoredPair> {
  return JSON.parse(String(await storage.get('signout:pair'))) as StoredPair
}

/** Changes the stored pair, and tells the clients that share the storage. */
export async function changePair (storage: TokenStorage, change: Partial<StoredPair>): Promise<void> {
  await storage.set('signout:pair', JSON.stringify({ ...await readPair(storage), ...change }))
}

/** Returns the code of the error that a call rejects with; `undefined` if it resolves. */
export async function codeOf (call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call
    return undefined
  } catch (error) {
    return (error as { code: string }).code
  }
}

/** A promise that the test resolves. */
export function gate (): { opened: Promise<void>, open: () => void } {
  let open = () => {}
  const opened = new Promise<void>(resolve => { open = resolve })
  return { opened, open }
}

/** Takes Web Locks away for a test. Node has them since version 24. */
export function withoutWebLocks (t: Test): void {
  const { navigator = {} } = globalThis as { navigator?: object }
  const prototype = Object.getPrototypeOf(navigator) as object
  const locks = Object.getOwnPropertyDescriptor(prototype, 'locks')
  if (locks === undefined) return
  Reflect.deleteProperty(prototype, 'locks')
  t.teardown(() => { Object.defineProperty(prototype, 'locks', locks) })
}
