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
  /** Posted instead, as JSON: each connection its own share of them, in turn. */
  bodies?: string[]
}

/** What came of it. Times in milliseconds. */
export interface LoadResult {
  responses: number
  /** Those that were not 2xx, and requests that were not answered. */
  failures: number
  perSecond: number
  p50: number
  p99: number
  p999: number
}

/** How long each answer took, in milliseconds, and what went wrong. */
interface Fired {
  times: number[]
  failures: number
  seconds: number
}

/** How often autocannon looks whether its time is over, in milliseconds. */
const sampleInt = 50
/** The same for many of it at once. */
const evenSampleInt = 500

/**
 * Requests from autocannon, in a process of its own: it must not take time from what is measured. Each follows the
 * answer to the one before.
 */
async function run (load: Load): Promise<LoadResult> {
  return summarize([await fire(load, {})])
}

/**
 * One request a second on each connection, evenly over the second, whatever the answers take. Autocannon sends all that
 * is due in a second at its beginning, which measures how a server takes bursts: so there is one of it for each
 * connection, and each begins a little later.
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

/** Each token once, to a route that ends something with it. */
async function spend ({ url, connections, tokens }: Omit<Load, 'seconds'>): Promise<LoadResult> {
  return summarize([await fire({ url, connections, tokens, seconds: 60, method: 'POST' }, { amount: tokens.length })])
}

/** Refreshes, each with what the one before it on its connection was answered. */
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
    // Its own histogram knows no fractions of a millisecond.
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

/** What one of the connections sends, again and again. */
function requestsOf ({ method = 'GET', bodies, tokens, connections }: Load, own: number): autocannon.Request[] {
  const isOwn = (_: string, index: number) => index % connections === own
  if (bodies !== undefined) {
    return bodies.filter(isOwn).map(body => ({ method: 'POST', body, headers: { 'content-type': 'application/json' } }))
  }
  return tokens.filter(isOwn).map(token => ({ method, headers: { authorization: `Bearer ${token}` } }))
}

answer({ ready: () => true, run, runEvenly, spend, refresh })
