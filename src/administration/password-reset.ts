import { SignoutError } from '../errors.ts'
import { networkOf } from '../input/requester.ts'
import type { SessionEnder } from '../sessions/session-ender.ts'
import type { RequireRecent } from '../sessions/recent-authentication.ts'
import { sessionsOf } from '../sessions/session-repository.ts'
import type { Perform } from '../unit-of-work.ts'
import { acceptNewPassword } from '../users/credentials.ts'
import type { PasswordDenylist } from '../users/password-denylist.ts'
import type { PasswordHasher } from '../users/password-hasher.ts'
import { updateUser, type User, type UserRepository } from '../users/user-repository.ts'
import { forgetWrongPasswords } from '../users/wrong-passwords.ts'
import { lockForAct, recordAct, type Administrator } from './administrator.ts'

export interface PasswordResetOptions {
  users: UserRepository
  passwords: PasswordHasher
  denylist: PasswordDenylist
  perform: Perform
  ender: SessionEnder
  requireRecent: RequireRecent
  passwordMinLength: number
}

/**
 * Sets the password of a user, and ends all sessions. Wrong passwords in a row are forgotten, so that the user can sign
 * in with the new one.
 *
 * Rejects with `invalid_request` for a password that breaks the rules, and with `not_found`. Rejects with
 * `revocation_unavailable` if the blocklist does not confirm the end of the sessions. Repeating it is safe.
 */
export type SetPassword = (id: string, password: string, by: Administrator) => Promise<User>

export function createPasswordReset (options: PasswordResetOptions): SetPassword {
  const { users, passwords, denylist, perform, ender, requireRecent, passwordMinLength } = options
  return async (id, password, by) => {
    const accepted = acceptNewPassword(password, passwordMinLength)
    const user = await users.findById(id)
    if (user === undefined) throw new SignoutError('not_found')
    await denylist.refuse(accepted, user.username)
    const passwordHash = await passwords.hash(accepted, networkOf(by.requester?.ip))
    return await perform(async unit => {
      const locked = await lockForAct(unit, requireRecent, by, id)
      if (locked === undefined) throw new SignoutError('not_found')
      await updateUser(unit.db, id, { passwordHash })
      await forgetWrongPasswords(unit.db, id)
      // Not as `password_changed`: with that reason, a request of an ended session could repeat a change of its own.
      const ended = await ender.end(unit, sessionsOf(id), 'ended_by_admin')
      recordAct(unit, { type: 'password_changed', userId: id, details: { sessions: ended.length } }, by)
      return { ...locked, passwordHash }
    })
  }
}
