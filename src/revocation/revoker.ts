import { SignoutError } from '../errors.ts'
import { deadlineOf, type Blocklist } from './blocklist.ts'
import { withDeadline } from '../timing/deadline.ts'
import { checkRevocations, type Revocation } from '../entries/revocation.ts'

/** Revokes tokens and sessions. */
export interface Revoker {
  /**
   * Resolves once every replica refuses what was revoked. Until then nothing may be claimed: on failure it rejects with
   * `revocation_unavailable`, and trying again is safe. Rejects with a TypeError that says what is wrong if the list is
   * not a list of revocations, before anything of it is written.
   *
   * @example
   * await app.revoker.revoke([{ scope: 'token', id: request.user.jti, expiresAt: request.user.exp }])
   */
  revoke (revocations: readonly Revocation[]): Promise<void>
}

/** Makes a revoker that gives the blocklist as long as the blocklist says, see {@link Blocklist.deadlineMs}. */
export function createRevoker (blocklist: Blocklist): Revoker {
  const deadlineMs = deadlineOf(blocklist)
  return {
    async revoke (revocations) {
      checkRevocations(revocations)
      try {
        await withDeadline(blocklist.revoke(revocations), deadlineMs)
      } catch (cause) {
        throw new SignoutError('revocation_unavailable', { cause })
      }
    }
  }
}
