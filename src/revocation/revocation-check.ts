import { AsyncResource } from 'node:async_hooks'
import { SignoutError } from '../errors.ts'
import { RecordedError, deadlineOf, type Blocklist } from './blocklist.ts'
import { createDeadlines, type DeadlineError, type Deadlines, type Wait, type Waiting } from '../timing/deadline.ts'
import { UntrustedError } from '../trust/by-record.ts'
import type { RevocableClaims } from '../entries/revocation.ts'

/**
 * Calls back once, within the deadline, and where it can before it returns: without an error when the blocklist says that
 * the claims were not revoked. Otherwise with `token_revoked` when it says that they were, and with `revocation_unavailable`
 * when it says nothing (P3). The callback runs in the asynchronous context of the caller.
 */
export type RevocationCheck = (claims: RevocableClaims, done: CheckDone) => void
export type CheckDone = (error: SignoutError | undefined) => void

/** What came of a check. */
export type CheckResult = 'accepted' | 'revoked' | 'unavailable'

type Conclude = (error: unknown, isRevoked: unknown, done: CheckDone) => void

/** A check that is waiting for its answer. It leads back to where it began: to the request, as `AsyncLocalStorage` knows it. */
class PendingCheck extends AsyncResource implements Waiting {
  readonly #conclude: Conclude
  readonly #done: CheckDone
  readonly #wait: Wait
  #isSettled = false

  constructor (conclude: Conclude, done: CheckDone, deadlines: Deadlines) {
    super('SignoutCheck')
    this.#conclude = conclude
    this.#done = done
    this.#wait = deadlines.begin(this)
  }

  settle (error: unknown, isRevoked?: unknown): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#wait.end()
    this.runInAsyncScope(this.#conclude, undefined, error, isRevoked, this.#done)
  }

  expire (error: DeadlineError): void {
    this.settle(error)
  }
}

/**
 * Makes the check of a blocklist, which has as long as it says, see {@link Blocklist.deadlineMs}.
 *
 * @param onChecked is told what came of each check. It must be quick, and must not throw.
 */
export function createRevocationCheck (blocklist: Blocklist, onChecked?: (result: CheckResult) => void): RevocationCheck {
  const deadlines = createDeadlines(deadlineOf(blocklist))

  /** Any blocklist can be plugged in, and one that answers nothing must not let everybody in. */
  function conclude (error: unknown, isRevoked: unknown, done: CheckDone): void {
    if (error instanceof RecordedError && error.isInForce) {
      onChecked?.('revoked')
      return done(new SignoutError('token_revoked', { cause: error }))
    }
    const hasAnswered = (error === undefined || error === null) && typeof isRevoked === 'boolean'
    if (!hasAnswered) {
      onChecked?.('unavailable')
      const cause = error ?? new TypeError('The blocklist answered neither true nor false.')
      return done(new SignoutError('revocation_unavailable', { cause, ...cause instanceof UntrustedError && { retryAfterSeconds: cause.retryAfterSeconds } }))
    }
    onChecked?.(isRevoked ? 'revoked' : 'accepted')
    done(isRevoked ? new SignoutError('token_revoked') : undefined)
  }

  function ask (claims: RevocableClaims, answered: (error: unknown, isRevoked?: unknown) => void): void {
    if (blocklist.lookUp !== undefined) return blocklist.lookUp(claims, answered)
    const asked: unknown = blocklist.isRevoked(claims)
    if (isThenable(asked)) asked.then(isRevoked => { answered(undefined, isRevoked) }, error => { answered(error) })
    else answered(undefined, asked)
  }

  return function checkRevocation (claims, done) {
    let early: { error: unknown, isRevoked?: unknown } | undefined
    let pending: PendingCheck | undefined
    try {
      ask(claims, (error, isRevoked) => {
        if (pending === undefined) early ??= { error, isRevoked }
        else pending.settle(error, isRevoked)
      })
    } catch (error) {
      early = { error }
    }
    // Not in the callback: an error that `done` throws is none of the blocklist's.
    if (early !== undefined) conclude(early.error, early.isRevoked, done)
    else pending = new PendingCheck(conclude, done, deadlines)
  }
}

/** Whether a value is a promise, of any library. */
export function isThenable (value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}
