import { SignoutError } from '../errors.ts'
import type { RevocableClaims } from '../entries/revocation.ts'
import { createBound } from '../timing/deadline.ts'
import { RecordedError, UntrustedError } from '../trust/trust.ts'
import { deadlineOf, type Blocklist } from './blocklist.ts'

/**
 * Checks a token, and calls back once, within the deadline (P3).
 *
 * - Without an error, if the blocklist returns that the token was not revoked.
 * - With `token_revoked`, if it returns that the token was revoked, or rejects with a {@link RecordedError} in force.
 * - With `revocation_unavailable`, if it does not answer, or if its answer does not count.
 *
 * Calls back before it returns if the blocklist needs no promise. The callback runs in the asynchronous context of the
 * caller.
 */
export type RevocationCheck = (claims: RevocableClaims, done: CheckDone) => void
export type CheckDone = (error: SignoutError | undefined) => void

/** The result of a check. */
export type CheckResult = 'accepted' | 'revoked' | 'unavailable'

/**
 * Creates the check of a blocklist, which must answer within {@link Blocklist.deadlineMs}.
 *
 * @param onChecked called with the result of each check. It must be quick, and must not throw.
 * @param keyIdOf returns the name of the key that signed the token with these claims, if it is known
 */
export function createRevocationCheck (
  blocklist: Blocklist,
  onChecked?: (result: CheckResult) => void,
  keyIdOf?: (claims: RevocableClaims) => string | undefined
): RevocationCheck {
  const bound = createBound(deadlineOf(blocklist))

  function fail (cause: unknown, done: CheckDone): void {
    if (cause instanceof RecordedError && cause.isInForce) {
      onChecked?.('revoked')
      return done(new SignoutError('token_revoked', { cause }))
    }
    onChecked?.('unavailable')
    const retryAfter = cause instanceof UntrustedError && { retryAfterSeconds: cause.retryAfterSeconds }
    done(new SignoutError('revocation_unavailable', { cause, ...retryAfter }))
  }

  /** Accepts only a boolean. Any blocklist can be plugged in, and a faulty one must not let a request pass. */
  function conclude (isRevoked: unknown, claims: RevocableClaims, done: CheckDone): void {
    if (typeof isRevoked !== 'boolean') {
      return fail(new TypeError('The blocklist returned a value that is not a boolean.'), done)
    }
    onChecked?.(isRevoked ? 'revoked' : 'accepted')
    done(isRevoked ? new SignoutError('token_revoked', { cause: new RevokedError(claims) }) : undefined)
  }

  return function checkRevocation (claims, done) {
    let answer: unknown
    try {
      answer = blocklist.isRevoked(claims, keyIdOf?.(claims))
    } catch (error) {
      return fail(error, done)
    }
    if (!isThenable(answer)) return conclude(answer, claims, done)
    bound(answer).then(isRevoked => { conclude(isRevoked, claims, done) }, error => { fail(error, done) })
  }
}

/** The cause of `token_revoked`: the ids of the token, one of which is refused. */
class RevokedError extends Error {
  override readonly name = 'RevokedError'
  constructor ({ jti, sid, sub }: RevocableClaims) {
    const ids = [`token ${jti}`]
    if (sid !== undefined) ids.push(`session ${sid}`)
    if (sub !== undefined) ids.push(`subject ${sub}`)
    super(`The blocklist refuses one of: ${ids.join(', ')}, its signing key, or tokens as old as this.`)
  }
}

/** Returns true for a promise, of any library. */
export function isThenable (value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}
