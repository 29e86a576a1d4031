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
