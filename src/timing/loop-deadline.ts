import { DeadlineError } from './deadline.ts'

/** The number of slices of a wait. */
const slices = 5

/**
 * Settles as `promise` does, or rejects with a `DeadlineError` after `deadlineMs` in which the event loop ran.
 *
 * A plain timer also expires when the event loop was late: the answer may have arrived and not been read yet. A burst
 * of requests can make the loop late, so an attacker could make any plain deadline expire. Here the wait is cut into
 * slices. A slice that was late counts as one slice, however late it was. Answers that have arrived are read before the
 * last slice ends.
 */
export function withLoopDeadline<T> (promise: Promise<T>, deadlineMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const sliceMs = deadlineMs / slices
    let leftMs = deadlineMs
    let timer: NodeJS.Timeout | undefined
    let isSettled = false

    function waitOn (): void {
      const startedAt = performance.now()
      timer = setTimeout(() => {
        // A timer that was set late in a long turn of the loop expires early: the time that really passed counts.
        leftMs -= Math.min(sliceMs, performance.now() - startedAt)
        // Two turns: what has arrived is read in the first, and reaches its promise before the second.
        if (leftMs < 1) setImmediate(() => setImmediate(expire))
        else waitOn()
      }, sliceMs)
    }

    function expire (): void {
      if (!isSettled) reject(new DeadlineError(deadlineMs))
    }

    function settle (): void {
      isSettled = true
      clearTimeout(timer)
    }

    waitOn()
    promise.then(value => { settle(); resolve(value) }, error => { settle(); reject(error) })
  })
}
