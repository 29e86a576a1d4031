/** A promise did not settle within its deadline. Its work may still be done later. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError'
  constructor (deadlineMs: number) {
    super(`No answer within ${deadlineMs} ms.`)
  }
}

/**
 * Settles as `promise` does, or rejects with a {@link DeadlineError} after `deadlineMs`, whichever is first. The
 * promise itself is not cancelled: its work may still take effect later.
 */
export function withDeadline<T> (promise: T | PromiseLike<T>, deadlineMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => { reject(new DeadlineError(deadlineMs)) }, deadlineMs)
    Promise.resolve(promise).then(
      value => { clearTimeout(timer); resolve(value) },
      error => { clearTimeout(timer); reject(error) }
    )
  })
}

/** Bounds promises as {@link withDeadline} does, with one timer for all that begin in one turn of the event loop. */
export type Bound = <T>(promise: PromiseLike<T>) => Promise<T>

/** The promises that began in one turn. */
interface Turn {
  timer: NodeJS.Timeout
  waiting: Set<(error: DeadlineError) => void>
}

/**
 * Creates a bound for the waits of requests. A timer for each request would cost more than the rest of the check. The
 * timer of a turn is set when its first promise begins, so that no promise waits longer than the deadline.
 *
 * @param deadlineMs the longest wait, in milliseconds
 */
export function createBound (deadlineMs: number): Bound {
  let open: Turn | undefined

  function openTurn (): Turn {
    const waiting: Turn['waiting'] = new Set()
    const timer = setTimeout(() => {
      const error = new DeadlineError(deadlineMs)
      for (const expire of waiting) expire(error)
    }, deadlineMs)
    setImmediate(() => {
      open = undefined
      if (waiting.size === 0) clearTimeout(timer)
    })
    return { timer, waiting }
  }

  return promise => new Promise((resolve, reject) => {
    const { waiting, timer } = open ??= openTurn()
    const turn = open
    waiting.add(reject)
    function end (): void {
      waiting.delete(reject)
      // While the turn is open, others may join it.
      if (waiting.size === 0 && open !== turn) clearTimeout(timer)
    }
    promise.then(value => { end(); resolve(value) }, error => { end(); reject(error) })
  })
}
