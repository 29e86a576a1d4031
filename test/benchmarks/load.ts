import autocannon from 'autocannon'
import { answer } from './processes.ts'
import { percentile } from './statistics.ts'

export interface Load {
  url: string
  connections: number
  seconds: number
  /** Each connection sends its own share of them, in turn. */
  tokens: string[]
  /** Requests a second of all connections together; as many as there can be when it is left out. */
  rate?: number
  /** Sent instead of a GET. */
  post?: { contentType: string, body: string }
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

/** How often autocannon looks whether its time is over, in milliseconds. */
const sampleInt = 50

/** Requests from autocannon, in a process of its own: it must not take time from what is measured. */
async function run (load: Load): Promise<LoadResult> {
  const { url, connections, seconds, tokens } = load
  const times: number[] = []
  let failures = 0
  let client = 0
  const { duration, errors } = await new Promise<autocannon.Result>((resolve, reject) => {
    const instance = autocannon({
      url,
      connections,
      duration: seconds,
      sampleInt,
      ...load.rate !== undefined && { overallRate: load.rate },
      setupClient (each) {
        const own = client++
        each.setRequests(requestsOf(load, tokens.filter((_token, index) => index % connections === own)))
      }
    } as autocannon.Options, (error, result) => { error ? reject(error) : resolve(result) })
    // Its own histogram knows no fractions of a millisecond.
    instance.on('response', (_client, status, _bytes, milliseconds) => {
      times.push(milliseconds)
      if (status < 200 || status > 299) failures++
    })
  })
  times.sort((a, b) => a - b)
  return {
    responses: times.length,
    failures: failures + errors,
    perSecond: times.length / duration,
    p50: percentile(times, 0.5),
    p99: percentile(times, 0.99),
    p999: percentile(times, 0.999)
  }
}

function requestsOf ({ post }: Load, tokens: string[]): autocannon.Request[] {
  if (post !== undefined) return [{ method: 'POST', body: post.body, headers: { 'content-type': post.contentType } }]
  return tokens.map(token => ({ method: 'GET', headers: { authorization: `Bearer ${token}` } }))
}

answer({ ready: () => true, run })
