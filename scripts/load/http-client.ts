import { Pool, type Dispatcher } from 'undici'

/** The longest time to connect, in milliseconds. */
const connectMs = 3_000
/** The longest time of a request, with the wait for a connection, in milliseconds. */
export const requestMs = 10_000

export interface Request {
  method: 'GET' | 'POST' | 'DELETE'
  path: string
  token?: string
  body?: object
}

/** A request and its result. Instants are those of `performance.now()`. */
export interface Exchange {
  /** Undefined without an answer. */
  status: number | undefined
  /** The reason for a missing answer: a code such as `ECONNREFUSED`, or `timeout`. */
  failure: string | undefined
  /** The `error` in the body of an answer with status 400 or higher. */
  error: string | undefined
  headers: Record<string, string | string[] | undefined>
  body: string
  /** The instant at which it was written to a connection. Undefined if it was not: the target was not asked. */
  askedAt: number | undefined
  endedAt: number
}

export interface HttpClient {
  /** Always resolves, within `requestMs`. Redirects are not followed, and nothing is sent twice. */
  send (request: Request): Promise<Exchange>
  close (): Promise<void>
}

/** A URL, and the addresses of its host. The name is resolved once: later it may belong to someone else. */
export interface Place {
  url: URL
  addresses: { address: string, family: number }[]
}

export function createHttpClient ({ url, addresses }: Place, connections: number): HttpClient {
  const pool = new Pool(url.origin, {
    connections,
    connect: { timeout: connectMs, lookup: (_hostname, options, done) => { answerLookup(addresses, options, done) } },
    headersTimeout: 0,
    bodyTimeout: 0
  })
  const prefix = url.pathname.replace(/\/$/, '')
  return {
    send: request => new Promise(resolve => { pool.dispatch(toOptions(prefix, request), createHandler(resolve)) }),
    close: () => pool.destroy()
  }
}

type Done = (error: Error | null, address: string | { address: string, family: number }[], family?: number) => void

function answerLookup (addresses: Place['addresses'], options: { all?: boolean | undefined }, done: Done): void {
  if (options.all === true) done(null, addresses)
  else done(null, addresses[0]?.address ?? '', addresses[0]?.family)
}

function toOptions (prefix: string, { method, path, token, body }: Request): Dispatcher.DispatchOptions {
  return {
    method,
    path: prefix + path,
    headers: {
      'user-agent': 'signout-load',
      ...token !== undefined && { authorization: `Bearer ${token}` },
      ...body !== undefined && { 'content-type': 'application/json' }
    },
    body: body === undefined ? null : JSON.stringify(body)
  }
}

function createHandler (settle: (exchange: Exchange) => void): Dispatcher.DispatchHandler {
  const exchange: Exchange = {
    status: undefined, failure: undefined, error: undefined, headers: {}, body: '', askedAt: undefined, endedAt: 0
  }
  let abort: ((reason: Error) => void) | undefined
  let isOver = false
  const timer = setTimeout(() => {
    end('timeout')
    abort?.(new Error('timeout'))
  }, requestMs)

  function end (failure?: string): void {
    if (isOver) return
    isOver = true
    clearTimeout(timer)
    exchange.endedAt = performance.now()
    exchange.failure = failure
    if (failure !== undefined) exchange.status = undefined
    else if ((exchange.status ?? 0) >= 400) exchange.error = errorOf(exchange.body)
    settle(exchange)
  }

  return {
    // Called once there is a connection, right before the request is written to it.
    onRequestStart (controller) {
      if (isOver) return controller.abort(new Error('timeout'))
      abort = reason => { controller.abort(reason) }
      exchange.askedAt = performance.now()
    },
    onResponseStart (_controller, status, headers) {
      exchange.status = status
      exchange.headers = headers
    },
    onResponseData (_controller, chunk) { exchange.body += chunk.toString() },
    onResponseEnd () { end() },
    onResponseError (_controller, error) { end((error as NodeJS.ErrnoException).code ?? error.name) }
  }
}

function errorOf (body: string): string | undefined {
  try {
    const { error } = JSON.parse(body) as { error?: unknown }
    return typeof error === 'string' ? error : undefined
  } catch {
    return undefined
  }
}
