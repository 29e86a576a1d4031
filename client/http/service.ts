import { SignoutError, toAbortError } from './errors.ts'
import { addressOf, isRepeatable, type Call } from './routes.ts'
import { abortable, repeat, type MonotonicClock, type RepeatOptions } from './timing.ts'

/** How a request is sent. */
export interface SendOptions {
  token?: string | undefined
  /** Sends the cookie and the header that says so. Without it, the browser sends no cookie. */
  withCookie?: boolean
  /** The signals that abort the request. */
  signals: Array<AbortSignal | undefined>
  /** Default: what is safe for the route. */
  repeats?: RepeatOptions['repeats']
}

/** Sends requests to the service, and repeats them where that is safe. An answer is there with its whole body. */
export type Send = (call: Call, options: SendOptions) => Promise<Response>

export interface ServiceOptions {
  baseUrl: string
  fetch: typeof fetch
  timeoutMs: number
  retryWithinMs: number
  now: MonotonicClock
}

export function createSend (options: ServiceOptions): Send {
  return async (call, { token, withCookie = false, signals, repeats = isRepeatable(call.route) }) => {
    const { method, url } = addressOf(options.baseUrl, call)
    const init: RequestInit = {
      method,
      headers: {
        ...call.body !== undefined && { 'content-type': 'application/json' },
        ...token !== undefined && { authorization: `Bearer ${token}` },
        ...withCookie && { 'x-signout-csrf': '1' }
      },
      credentials: withCookie ? 'include' : 'omit',
      ...call.body !== undefined && { body: JSON.stringify(call.body) }
    }
    return await sendRepeatedly(options, async signal => {
      const answer = await options.fetch(url, { ...init, signal })
      // The time limit holds for the body too.
      await answer.clone().arrayBuffer()
      return answer
    }, repeats, signals)
  }
}

/** Sends a request, and repeats it where that is safe. Each attempt gets a signal that ends it. */
export async function sendRepeatedly (
  { timeoutMs, retryWithinMs, now }: Omit<ServiceOptions, 'baseUrl' | 'fetch'>,
  fetchOnce: (signal: AbortSignal) => Promise<Response>,
  repeats: RepeatOptions['repeats'],
  signals: Array<AbortSignal | undefined>
): Promise<Response> {
  const signal = anyOf(signals)
  async function attempt (): Promise<Response> {
    const timeout = new AbortController()
    const timer = setTimeout(() => {
      timeout.abort(new SignoutError('timeout', `There was no answer within ${timeoutMs} ms.`))
    }, timeoutMs)
    const either = anyOf([signal, timeout.signal])
    try {
      return await abortable(fetchOnce(either), either)
    } catch (cause) {
      throw either.aborted
        ? toAbortError(either)
        : new SignoutError('network_error', 'There was no answer.', { cause })
    } finally {
      clearTimeout(timer)
    }
  }
  return await repeat(attempt, { retryWithinMs, repeats, signal, now })
}

/** Returns a signal that is aborted when one of these is. */
export function anyOf (signals: Array<AbortSignal | undefined>): AbortSignal {
  const given = signals.filter(signal => signal !== undefined)
  if (typeof AbortSignal.any === 'function') return AbortSignal.any(given)
  const controller = new AbortController()
  for (const signal of given) {
    const abort = () => { controller.abort(signal.reason) }
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
  }
  return controller.signal
}
