import { networkOf, type Requester } from '../input/requester.ts'
import { SignoutError } from '../errors.ts'
import type { Limits } from '../limits/limits.ts'
import { requireReplaceable, type OwnSession } from '../sessions/own-session.ts'
import type { OpenSession } from '../sessions/opening.ts'
import type { SessionEnder } from '../sessions/session-ender.ts'
import { sessionOf, sessionsOf } from '../sessions/session-repository.ts'
import { signPair, type PlannedPair, type TokenPair } from '../sessions/token-pair.ts'
import type { AccessTokens } from '../tokens/access-tokens.ts'
import type { Perform, Unit } from '../unit-of-work.ts'
import { acceptNewPassword } from '../users/credentials.ts'
import type { PasswordDenylist } from '../users/password-denylist.ts'
import type { PasswordHasher } from '../users/password-hasher.ts'
import { isUnchanged, repeatedly, type ProvePassword } from '../users/password-proof.ts'
import { lockUserToSign, updateUser, type User } from '../users/user-repository.ts'

export interface PasswordChangeOptions {
  provePassword: ProvePassword
  limits: Limits
  passwords: PasswordHasher
  denylist: PasswordDenylist
  perform: Perform
  ender: SessionEnder
  openSession: OpenSession
  accessTokens: AccessTokens
  /** Throws `service_unavailable` while clocks differ too much. */
  requireClock: () => void
  passwordMinLength: number
}

/**
 * Sets a new password, ends every session of the user, and opens a new one. Resolves with its first tokens. A thief who
 * shares the session of the request has lost it.
 *
 * If the new password is set already, it stays, and the ended sessions are revoked again. A session is opened as at a
 * login. So a request whose answer was lost can be repeated, even if it has ended its own session.
 *
 * Rejects with `invalid_credentials` (403) for a wrong current password, which counts as a failed attempt. Rejects with
 * `token_revoked` if the session has ended, unless a change to this password has ended it.
 */
export type ChangePassword = (
  own: OwnSession,
  currentPassword: string,
  newPassword: string,
  requester: Requester
) => Promise<TokenPair>

export function createPasswordChange (options: PasswordChangeOptions): ChangePassword {
  const { provePassword, limits, passwords, denylist, perform, ender, openSession, accessTokens } = options

  async function set (
    unit: Unit, user: User, passwordHash: string, requester: Requester, own: OwnSession
  ): Promise<void> {
    await updateUser(unit.db, user.id, { passwordHash })
    const ended = await ender.end(unit, sessionsOf(user.id), 'password_changed')
    unit.record({
      type: 'password_changed',
      userId: user.id,
      sessionId: own.sessionId,
      requester,
      details: { sessions: ended.length }
    })
  }

  /** Ends the own session if it lives. Later sessions stay: the new password has opened them. */
  async function repeat (unit: Unit, { userId, sessionId }: OwnSession): Promise<void> {
    await ender.end(unit, sessionOf(userId, sessionId), 'password_changed')
    await ender.revokeEnded(unit, sessionsOf(userId))
  }

  return async (own, currentPassword, newPassword, requester) => {
    options.requireClock()
    const accepted = acceptNewPassword(newPassword, options.passwordMinLength, '/new_password')
    const planned = await repeatedly(async (): Promise<PlannedPair | undefined> => {
      const { user, matching } = await provePassword(own, [currentPassword, accepted], requester)
      const isSetAlready = matching === 1
      if (!isSetAlready) await denylist.refuse(accepted, user.username, '/new_password')
      await limits.login(user.id)
      const passwordHash = isSetAlready
        ? user.passwordHash
        : await passwords.hash(accepted, networkOf(requester.ip))
      return await perform(async unit => {
        const locked = await lockUserToSign(unit.db, user.id, 'update')
        if (!isUnchanged(user, locked)) return undefined
        const isLive = await requireReplaceable(unit, own, 'password_changed')
        if (!isLive && !isSetAlready) throw new SignoutError('token_revoked')
        if (!isSetAlready) await set(unit, user, passwordHash, requester, own)
        else await repeat(unit, own)
        const pair = await openSession(unit, locked, requester)
        if (isSetAlready) {
          unit.record({ type: 'login', userId: user.id, sessionId: pair.session.id, requester })
        }
        return pair
      })
    })
    return await signPair(accessTokens, planned)
  }
}
