import { SignoutError } from '../errors.ts'
import type { Blocklist } from './blocklist.ts'
import { withDeadline } from './deadline.ts'
import { UntrustedError } from './log-guard.ts'
import type { RevocableClaims } from './revocation.ts'

/**
 * Resolves when the blocklist says that the claims were not revoked. Otherwise rejects, within the deadline:
 * `token_revoked` when it says that they were, `revocation_unavailable` when it says nothing (P3).
 */
export type RevocationCheck = (claims: RevocableClaims) => Promise<void>

/** What came of a check. */
export type CheckResult = 'accepted' | 'revoked' | 'unavailable'

/**
 * @param deadlineMs how long the blocklist may take to answer, in milliseconds
 * @param onChecked is told what came of each check. It must be quick, and must not throw.
 */
export function createRevocationCheck (blocklist: Blocklist, deadlineMs: number, onChecked?: (result: CheckResult) => void): RevocationCheck {
  async function ask (claims: RevocableClaims): Promise<boolean> {
    try {
      const asked = blocklist.isRevoked(claims)
      const answer: unknown = typeof asked === 'boolean' ? asked : await withDeadline(asked, deadlineMs)
      // Any blocklist can be plugged in, and one that answers nothing must not let everybody in.
      if (typeof answer !== 'boolean') throw new TypeError('The blocklist answered neither true nor false.')
      return answer
    } catch (cause) {
      onChecked?.('unavailable')
      throw new SignoutError('revocation_unavailable', { cause, ...cause instanceof UntrustedError && { retryAfterSeconds: cause.retryAfterSeconds } })
    }
  }

  return async function checkRevocation (claims) {
    const isRevoked = await ask(claims)
    onChecked?.(isRevoked ? 'revoked' : 'accepted')
    if (isRevoked) throw new SignoutError('token_revoked')
  }
}
