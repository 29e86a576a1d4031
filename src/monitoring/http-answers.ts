import { Histogram, type Registry } from 'prom-client'

/** Counts an answered request, and measures how long the answer took. */
export type MeasureAnswer = (answer: HttpAnswer) => void

export interface HttpAnswer {
  /** The pattern of the route, such as `/users/:id/sessions`. Undefined if no route has the address. */
  route: string | undefined
  method: string
  status: number
  seconds: number
}

/** The route of requests for which there is none. Their addresses are not kept: anyone can invent new ones. */
export const unmatchedRoute = 'unmatched'
/** The method in place of one that no route has. Node accepts more than thirty. */
export const otherMethod = 'other'
export const knownMethods: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/** From a cached check of a token to the longest wait for a password to be hashed. */
const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]

/** Adds the metric of HTTP requests. Returns the function that measures an answer, which is called for each request. */
export function exposeAnswers (register: Registry): MeasureAnswer {
  const histogram = new Histogram({
    name: 'signout_http_request_duration_seconds',
    help: 'Duration of HTTP requests, by route, method and status.',
    labelNames: ['route', 'method', 'status'],
    buckets: secondsBuckets,
    registers: [register]
  })
  const series = new Map<string, Histogram.Internal<string>>()
  return function measureAnswer ({ route = unmatchedRoute, method, status, seconds }) {
    const key = `${method} ${status} ${route}`
    let found = series.get(key)
    if (found === undefined) {
      const known = knownMethods.includes(method) ? method : otherMethod
      found = histogram.labels(route, known, String(status))
      // Without this bound, unknown methods would add keys.
      if (known === method) series.set(key, found)
    }
    found.observe(seconds)
  }
}
