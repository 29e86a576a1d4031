import { SignoutError } from '../errors.ts'
import { networkOf, type Requester } from '../input/requester.ts'
import type { Limits } from '../limits/limits.ts'
import type { EventRepository } from '../security/event-repository.ts'
import type { AccessTokens } from '../tokens/access-tokens.ts'
import type { Perform } from '../unit-of-work.ts'
import { isUsername, normalizePassword } from '../users/credentials.ts'
import type { PasswordCheck } from '../users/password-check.ts'
import type { PasswordHasher } from '../users/password-hasher.ts'
import { repeatedly } from '../users/password-proof.ts'
import { lockUserToSign, updateUser, type User, type UserRepository } from '../users/user-repository.ts'
import type { OpenSession } from './opening.ts'
import type { SessionEnder } from './session-ender.ts'
import { otherSessionsOf } from './session-repository.ts'
import { signPair, type TokenPair } from './token-pair.ts'

export interface LoginOptions {
  users: UserRepository
  events: Pick<EventRepository, 'countFailure'>
  checkPassword: PasswordCheck
  limits: Limits
  passwords: PasswordHasher
  perform: Perform
  ender: SessionEnder
  openSession: OpenSession
  accessTokens: AccessTokens
  /** Throws `service_unavailable` while clocks differ too much. */
  requireClock: () => void
}

/** The username and the password of a login. */
export interface LoginRequest {
  username: string
  password: string
  /** True to end all other sessions of the user, in the same transaction. */
  endOtherSessions?: boolean | undefined
}

/**
 * Opens a session, and resolves with its first tokens.
 *
 * With `endOtherSessions`, no other session of the user survives: a concurrent logout or refresh of another session
 * comes before it and is undone, or comes after it and is refused. Rejects with `revocation_unavailable` if the
 * blocklist does not confirm their end.
 *
 * Rejects with `invalid_credentials` for an unknown username and for a wrong password alike. Rejects with
 * `account_disabled` only if the password is right. Rejects with `too_many_requests` when a limit is used up.
 */
export type Login = (request: LoginRequest, requester: Requester) => Promise<TokenPair>

export function createLogin (options: LoginOptions): Login {
  const { users, events, checkPassword, limits, passwords, perform, ender, openSession, accessTokens } = options

  /** Returns the active user of that name and password. */
  async function prove (username: string, password: string, requester: Requester): Promise<User> {
    const user = isUsername(username) ? await users.findByUsername(username) : undefined
    const matching = await checkPassword({ username, user, passwords: [password], requester, failure: 'login_failed' })
    if (user === undefined || matching < 0) throw new SignoutError('invalid_credentials')
    if (user.status === 'active') return user
    await events.countFailure({ type: 'login_failed', userId: user.id, requester })
    throw new SignoutError('account_disabled')
  }

  return async function login ({ username, password, endOtherSessions = false }, requester) {
    // Checked before the password is hashed, which would be wasted work. A clock that is set later is found when the
    // token is planned.
    options.requireClock()
    const planned = await repeatedly(async () => {
      const user = await prove(username, password, requester)
      await limits.login(user.id)
      // A hash that costs less than new ones do is renewed while the password is known.
      const isWeak = passwords.isWeak(user.passwordHash)
      const renewed = isWeak ? await passwords.hash(normalizePassword(password), networkOf(requester.ip)) : undefined
      return await perform(async unit => {
        // Another login may have renewed the hash meanwhile, or the password was changed.
        const locked = await lockUserToSign(unit.db, user.id, 'no key update')
        if (locked?.passwordHash !== user.passwordHash) return undefined
        const pair = await openSession(unit, locked, requester)
        if (renewed !== undefined) await updateUser(unit.db, user.id, { passwordHash: renewed })
        const sessionId = pair.session.id
        const ended = endOtherSessions && await ender.end(unit, otherSessionsOf(user.id, sessionId), 'ended_by_owner')
        const details = ended && { details: { sessions: ended.length } }
        unit.record({ type: 'login', userId: user.id, sessionId, requester, ...details })
        return pair
      })
    })
    return await signPair(accessTokens, planned)
  }
}
