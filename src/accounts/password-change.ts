import type { Requester } from '../input/requester.ts'
import { requireLive, type OwnSession } from '../sessions/logout.ts'
import type { SessionEnder } from '../sessions/session-ender.ts'
import { otherSessionsOf } from '../sessions/session-repository.ts'
import type { Perform } from '../unit-of-work.ts'
import { acceptNewPassword } from '../users/credentials.ts'
import type { PasswordHasher } from '../users/password-hasher.ts'
import { isUnchanged, repeatedly, type Reauthenticate } from './reauthentication.ts'
import { lockUser, updateUser } from '../users/user-repository.ts'

export interface PasswordChangeOptions {
  reauthenticate: Reauthenticate
  passwords: PasswordHasher
  perform: Perform
  ender: SessionEnder
  /** Throws `service_unavailable` while clocks differ too much. */
  requireClock: () => void
  passwordMinLength: number
}

/**
 * Sets a new password and ends all other sessions of the user. If the new password is set already, it stays, and the
 * ended sessions are revoked again. Rejects with `invalid_credentials` (403) for a wrong current password. That counts
 * as a failed attempt, as at a login.
 */
export type ChangePassword = (
  own: OwnSession,
  currentPassword: string,
  newPassword: string,
  requester: Requester
) => Promise<void>

export function createPasswordChange ({
  reauthenticate,
  passwords,
  perform,
  ender,
  requireClock,
  passwordMinLength
}: PasswordChangeOptions): ChangePassword {
  return async (own, currentPassword, newPassword, requester) => {
    requireClock()
    const accepted = acceptNewPassword(newPassword, passwordMinLength, '/new_password')
    await repeatedly(async () => {
      const { user, matching } = await reauthenticate(own, [currentPassword, accepted], requester)
      const isSetAlready = matching === 1
      const passwordHash = isSetAlready ? user.passwordHash : await passwords.hash(accepted)
      return await perform(async unit => {
        if (!isUnchanged(user, await lockUser(unit.db, user.id, 'update'))) return false
        await requireLive(unit, own)
        const others = otherSessionsOf(own.userId, own.sessionId)
        if (isSetAlready) {
          await ender.revokeEnded(unit, others)
        } else {
          await updateUser(unit.db, user.id, { passwordHash })
          const ended = await ender.end(unit, others, 'password_changed')
          unit.record({
            type: 'password_changed',
            userId: user.id,
            sessionId: own.sessionId,
            ip: requester.ip,
            details: { sessions: ended.length }
          })
        }
        return true
      })
    })
  }
}
