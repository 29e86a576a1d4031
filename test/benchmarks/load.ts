import autocannon from 'autocannon'
import { answer } from './processes.ts'
import { percentile } from './statistics.ts'

export interface Load {
  url: string
  connections: number
  seconds: number
  /** Each connection sends its own share of them, in turn. */
  tokens: string[]
  method?: 'GET' | 'POST'
  /** JSON bodies that are posted instead of tokens. Each connection sends its own share of them, in turn. */
  bodies?: string[]
}

/** The result of a load. Times are in milliseconds. */
export interface LoadResult {
  responses: number
  /** The number of answers that were not 2xx, plus the number of requests without an answer. */
  failures: number
  perSecond: number
  p50: number
  p99: number
  p999: number
}

/** The times of the answers in milliseconds, and the number of failures. */
interface Fired {
  times: number[]
  failures: number
  seconds: number
}

/** The interval at which autocannon checks the end of its time, in milliseconds. */
const sampleInt = 50
/** The interval if many instances of autocannon run at once, in milliseconds. */
const evenSampleInt = 500

/**
 * Sends requests with autocannon. On each connection, a request follows the answer to the one before. The load runs in
 * a process of its own, so that it takes no time from the server that is measured.
 */
async function run (load: Load): Promise<LoadResult> {
  return summarize([await fire(load, {})])
}

/**
 * Sends one request a second on each connection, evenly over the second, even if answers are late. One autocannon would
 * send all requests of a second in a burst. So each connection has an instance of its own, which starts a little later
 * than the one before.
 */
async function runEvenly (load: Load): Promise<LoadResult> {
  const connections = Array.from({ length: load.connections }, async (_, index) => {
    await new Promise(resolve => { setTimeout(resolve, 1000 * index / load.connections) })
    return await fire({ ...load, connections: 1 }, {
      connectionRate: 1, sampleInt: evenSampleInt
    } as Partial<autocannon.Options>)
  })
  return summarize(await Promise.all(connections))
}

/** Sends each token once, to a route that ends its session. */
async function spend ({ url, connections, tokens }: Omit<Load, 'seconds'>): Promise<LoadResult> {
  return summarize([await fire({ url, connections, tokens, seconds: 60, method: 'POST' }, { amount: tokens.length })])
}

/** Sends refreshes. Each uses the refresh token from the answer before it on the same connection. */
async function refresh ({ url, seconds, refreshTokens }: {
  url: string, seconds: number, refreshTokens: string[]
}): Promise<LoadResult> {
  const headers = { 'content-type': 'application/json' }
  const chain = (refreshToken: string): autocannon.Request => ({
    method: 'POST',
    headers,
    setupRequest: request => ({ ...request, body: JSON.stringify({ refresh_token: refreshToken }) }),
    onResponse (status, body) { if (status === 200) refreshToken = JSON.parse(body).refresh_token }
  })
  const requests = refreshTokens.map(refreshToken => [chain(refreshToken)])
  return summarize([
    await fire({ url, connections: requests.length, seconds, tokens: [] }, {}, own => requests[own] ?? [])
  ])
}

async function fire (
  load: Load, options: Partial<autocannon.Options>, requestsFor = (own: number) => requestsOf(load, own)
): Promise<Fired> {
  const { url, connections, seconds } = load
  const times: number[] = []
  let failures = 0
  let client = 0
  const { duration, errors } = await new Promise<autocannon.Result>((resolve, reject) => {
    const instance = autocannon(
      {
        url,
        connections,
        duration: seconds,
        sampleInt,
        ...options,
        setupClient (each) {
          each.setRequests(requestsFor(client++))
        }
      } as autocannon.Options,
      (error, result) => { error ? reject(error) : resolve(result) }
    )
    // The histogram of autocannon has no fractions of a millisecond.
    instance.on('response', (_client, status, _bytes, milliseconds) => {
      times.push(milliseconds)
      if (status < 200 || status > 299) failures++
    })
  })
  return { times, failures: failures + errors, seconds: duration }
}

function summarize (fired: Fired[]): LoadResult {
  const times = fired.flatMap(({ times }) => times).sort((a, b) => a - b)
  return {
    responses: times.length,
    failures: fired.reduce((sum, { failures }) => sum + failures, 0),
    perSecond: fired.reduce((sum, { times, seconds }) => sum + times.length / seconds, 0),
    p50: percentile(times, 0.5),
    p99: percentile(times, 0.99),
    p999: percentile(times, 0.999)
  }
}

/** Returns the requests that one connection sends, again and again. */
function requestsOf ({ method = 'GET', bodies, tokens, connections }: Load, own: number): autocannon.Request[] {
  const isOwn = (_: string, index: number) => index % connections === own
  if (bodies !== undefined) {
    return bodies.filter(isOwn).map(body => ({ method: 'POST', body, headers: { 'content-type': 'application/json' } }))
  }
  return tokens.filter(isOwn).map(token => ({ method, headers: { authorization: `Bearer ${token}` } }))
}

answer({ ready: () => true, run, runEvenly, spend, refresh })
