/** What was awaited did not settle within its deadline. It may still happen. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError'
  constructor (deadlineMs: number) {
    super(`No answer within ${deadlineMs} ms.`)
  }
}

/**
 * Settles as `promise` does, or rejects with a {@link DeadlineError} after `deadlineMs`, whichever is first.
 * The promise itself is not cancelled: what it does may still take effect later.
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

/** Something that is waited for. It must take it well to be told that it has expired when it has not. */
export interface Waiting {
  expire (error: DeadlineError): void
}

/** Bounds how long things are waited for. */
export interface Deadlines {
  /** From now on it has `deadlineMs`. Answers what has to be called, once, when it need not be bounded any more. */
  begin (waiting: Waiting): Wait
}

/** Things that began in the same turn of the event loop, and have one timer. */
export interface Wait {
  end (): void
}

/**
 * One timer for all that begins in one turn of the event loop, instead of one for each: what is done for every request is to
 * cost little. It is set when the first of them begins, so that none gets more than `deadlineMs`.
 */
export function createDeadlines (deadlineMs: number): Deadlines {
  let open: ReturnType<typeof createWait> | undefined

  function createWait () {
    const members: Waiting[] = []
    let ended = 0
    let isOpen = true
    const timer = setTimeout(() => {
      for (const waiting of members) {
        try {
          waiting.expire(new DeadlineError(deadlineMs))
        } catch (error) {
          // What one does wrong is thrown where nobody waits behind it.
          process.nextTick(() => { throw error })
        }
      }
    }, deadlineMs)
    const stopWhenOver = () => { if (!isOpen && ended === members.length) clearTimeout(timer) }
    return {
      members,
      close () {
        isOpen = false
        stopWhenOver()
      },
      end () {
        ended++
        stopWhenOver()
      }
    }
  }

  return {
    begin (waiting) {
      if (open === undefined) {
        const opened = createWait()
        open = opened
        setImmediate(() => {
          open = undefined
          opened.close()
        })
      }
      open.members.push(waiting)
      return open
    }
  }
}
