import { SignoutError } from '../errors.ts'
import type { Blocklist } from './blocklist.ts'
import { withDeadline } from './deadline.ts'
import type { Revocation } from './revocation.ts'

/** Takes tokens and sessions back. */
export interface Revoker {
  /**
   * Resolves once every replica refuses what was revoked. Until then nothing may be claimed: on failure it
   * rejects with `revocation_unavailable`, and trying again is safe.
   */
  revoke (revocations: readonly Revocation[]): Promise<void>
}

/** @param deadlineMs how long the blocklist may take to acknowledge, in milliseconds */
export function createRevoker (blocklist: Blocklist, deadlineMs: number): Revoker {
  return {
    async revoke (revocations) {
      try {
        await withDeadline(blocklist.revoke(revocations), deadlineMs)
      } catch (cause) {
        throw new SignoutError('revocation_unavailable', { cause })
      }
    }
  }
}
