import { SignoutError } from '../errors.ts'
import type { Requester } from '../input/requester.ts'
import type { EventRepository } from '../security/event-repository.ts'
import type { AccessTokens } from '../tokens/access-tokens.ts'
import type { Perform } from '../unit-of-work.ts'
import { isUsername } from '../users/credentials.ts'
import type { PasswordCheck } from '../users/password-check.ts'
import type { UserRepository } from '../users/user-repository.ts'
import type { OpenSession } from './opening.ts'
import type { SessionEnder } from './session-ender.ts'
import { otherSessionsOf } from './session-repository.ts'
import { signPair, type TokenPair } from './token-pair.ts'

export interface LoginOptions {
  users: UserRepository
  events: Pick<EventRepository, 'countFailure'>
  checkPassword: PasswordCheck
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
  const { users, events, checkPassword, perform, ender, openSession, accessTokens } = options
  return async function login ({ username, password, endOtherSessions = false }, requester) {
    // Checked before the password is hashed, which would be wasted work. A clock that is set later is found when the
    // token is planned.
    options.requireClock()
    const user = isUsername(username) ? await users.findByUsername(username) : undefined
    const matching = await checkPassword({ username, user, passwords: [password], requester, failure: 'login_failed' })
    if (user === undefined || matching < 0) throw new SignoutError('invalid_credentials')
    if (user.status !== 'active') {
      await events.countFailure({ type: 'login_failed', userId: user.id, ip: requester.ip })
      throw new SignoutError('account_disabled')
    }
    const planned = await perform(async unit => {
      const pair = await openSession(unit, user, requester)
      const sessionId = pair.session.id
      const ended = endOtherSessions ? await ender.end(unit, otherSessionsOf(user.id, sessionId), 'ended_by_owner') : []
      const details = endOtherSessions && { details: { sessions: ended.length } }
      unit.record({ type: 'login', userId: user.id, sessionId, ip: requester.ip, ...details })
      return pair
    })
    return await signPair(accessTokens, planned)
  }
}
