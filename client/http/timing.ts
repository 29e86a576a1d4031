import { isSignoutError, retryAfterOf, toAbortError, type SignoutError } from './errors.ts'

/** A clock that only runs forward, in milliseconds. Its origin does not matter. */
export type MonotonicClock = () => number

export const monotonicClock: MonotonicClock = () => performance.now()

/** Resolves after a time, or rejects as soon as the signal is aborted. */
export async function pause (ms: number, signal?: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  try {
    await abortable(new Promise<void>(resolve => { timer = setTimeout(resolve, ms) }), signal)
  } finally {
    clearTimeout(timer)
  }
}

/** Resolves as the work does, but rejects as soon as the signal is aborted. The work goes on. */
export function abortable<T> (work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const abort = () => { reject(toAbortError(signal)) }
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    work.then(resolve, reject).finally(() => { signal.removeEventListener('abort', abort) })
  })
}

/** Answers that mean "later": of the service, or of a proxy in front of it. */
const busy = [429, 502, 503, 504]

export interface RepeatOptions {
  /** How long a request may go on being repeated, in milliseconds. */
  retryWithinMs: number
  /** False for a request that must not be sent twice. `busy`: it is repeated only after an answer. */
  repeats: boolean | 'busy'
  signal?: AbortSignal | undefined
  now: MonotonicClock
}

/**
 * Sends a request, and sends it again while the answer is 429, 502, 503 or 504, or while there is none. It waits as
 * long as `Retry-After` says, and up to half as long again, so that not all clients come back at once.
 *
 * Resolves to the last answer, or rejects as the last attempt did: when the request is not repeatable, or when waiting
 * would pass the bound.
 */
export async function repeat (attempt: () => Promise<Response>, options: RepeatOptions): Promise<Response> {
  const { retryWithinMs, repeats, signal, now } = options
  const lastAt = now() + retryWithinMs
  for (let times = 0; ; times++) {
    const outcome = await attempt().catch((error: unknown) => error as SignoutError)
    const isAnswer = !isSignoutError(outcome)
    const isBusy = isAnswer
      ? busy.includes(outcome.status)
      : repeats === true && ['network_error', 'timeout'].includes(outcome.code) && isOnline()
    const waitMs = delayMs(isAnswer ? retryAfterOf(outcome) : undefined, times)
    if (!isBusy || repeats === false || now() + waitMs > lastAt) {
      if (isAnswer) return outcome
      throw outcome
    }
    if (isAnswer) outcome.body?.cancel().catch(() => {})
    await pause(waitMs, signal)
  }
}

/** Returns how long to wait: what the answer asks for, or longer each time, and up to half as long again. */
export function delayMs (retryAfterSeconds: number | undefined, times: number): number {
  const baseMs = retryAfterSeconds === undefined ? Math.min(250 * 2 ** times, 30_000) : retryAfterSeconds * 1000
  return Math.max(baseMs, 50) * (1 + Math.random() / 2)
}

/** Returns false only where the runtime is sure that there is no network. */
function isOnline (): boolean {
  return (globalThis as { navigator?: { onLine?: boolean } }).navigator?.onLine !== false
}
