import { SignoutError } from '../errors.ts'
import type { Blocklist } from './blocklist.ts'
import { withDeadline } from './deadline.ts'
import type { RevocableClaims } from './revocation.ts'

/**
 * Resolves when the blocklist says that the claims were not revoked. Otherwise rejects, within the deadline:
 * `token_revoked` when it says that they were, `revocation_unavailable` when it says nothing (P3).
 */
export type RevocationCheck = (claims: RevocableClaims) => Promise<void>

/** @param deadlineMs how long the blocklist may take to answer, in milliseconds */
export function createRevocationCheck (blocklist: Blocklist, deadlineMs: number): RevocationCheck {
  async function ask (claims: RevocableClaims): Promise<boolean> {
    try {
      const asked = blocklist.isRevoked(claims)
      const answer: unknown = typeof asked === 'boolean' ? asked : await withDeadline(asked, deadlineMs)
      // Any blocklist can be plugged in, and one that answers nothing must not let everybody in.
      if (typeof answer !== 'boolean') throw new TypeError('The blocklist answered neither true nor false.')
      return answer
    } catch (cause) {
      throw new SignoutError('revocation_unavailable', { cause })
    }
  }

  return async function checkRevocation (claims) {
    if (await ask(claims)) throw new SignoutError('token_revoked')
  }
}
