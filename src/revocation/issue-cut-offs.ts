import { SignoutError } from '../errors.ts'
import { withDeadline } from '../timing/deadline.ts'
import { deadlineOf, type Blocklist } from './blocklist.ts'

/** Revokes all tokens that were issued until now. */
export interface IssueCutOffs {
  /**
   * Revokes every token of a user that was issued until now. Resolves once every replica refuses them. Tokens that
   * `app.issueToken` issues from then on are accepted.
   *
   * Rejects with `revocation_unavailable` when the blocklist does not confirm it within its deadline. The caller must
   * then claim no success, and may try again. Rejects with a TypeError unless the subject is a text of 1 to 255
   * characters, and if the blocklist does not know `maxTokenLifetimeSeconds`.
   *
   * @param subject the `sub` of the tokens
   * @example
   * await app.revokeSubject(user.id)
   */
  revokeSubject (subject: string): Promise<void>
  /**
   * Revokes every token of every user that was issued until now, as `revokeSubject` does for one.
   *
   * @example
   * await app.revokeEveryone()
   */
  revokeEveryone (): Promise<void>
}

/** Creates the revocations of a blocklist, which are bounded by {@link Blocklist.deadlineMs}. */
export function createIssueCutOffs (blocklist: Blocklist): IssueCutOffs {
  const deadlineMs = deadlineOf(blocklist)

  async function confirm (work: () => Promise<void> | undefined): Promise<void> {
    try {
      const promise = work()
      if (promise === undefined || blocklist.maxTokenLifetimeSeconds === undefined) throw unable
      await withDeadline(promise, deadlineMs)
    } catch (cause) {
      throw cause instanceof TypeError ? cause : new SignoutError('revocation_unavailable', { cause })
    }
  }

  return {
    revokeSubject: subject => confirm(() => blocklist.revokeSubject?.(subject)),
    revokeEveryone: () => confirm(() => blocklist.revokeEveryone?.())
  }
}

const unable = new TypeError(
  'The blocklist cannot revoke all tokens of a subject, or of everyone: give it maxTokenLifetimeSeconds, the longest lifetime of a token.'
)
