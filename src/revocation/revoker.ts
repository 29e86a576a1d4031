import { SignoutError } from '../errors.ts'
import { deadlineOf, type Blocklist } from './blocklist.ts'
import { withDeadline } from '../timing/deadline.ts'
import { checkRevocations, type Revocation } from '../entries/revocation.ts'

/** Revokes tokens and sessions. */
export interface Revoker {
  /**
   * Revokes tokens and sessions. Resolves once every replica refuses them.
   *
   * Idempotent, not atomic. Rejects with `revocation_unavailable` when the blocklist does not confirm all of it within
   * its deadline. The caller must then claim no success, and may try again. Rejects with a TypeError, and writes
   * nothing, if the list has a mistake.
   *
   * @example
   * await app.revoker.revoke([{ scope: 'token', id: request.user.jti, expiresAt: request.user.exp }])
   */
  revoke (revocations: readonly Revocation[]): Promise<void>
}

/** Creates a revoker, which waits for the blocklist for at most {@link Blocklist.deadlineMs}. */
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
