import { randomUUID } from 'node:crypto'
import type { Requester } from '../input/requester.ts'
import { readClock } from '../db/clock.ts'
import { SignoutError } from '../errors.ts'
import type { EventRepository } from '../security/event-repository.ts'
import type { AccessTokens } from '../tokens/access-tokens.ts'
import type { Perform, Unit } from '../unit-of-work.ts'
import { isUsername } from '../users/credentials.ts'
import type { PasswordCheck } from '../users/password-check.ts'
import { lockUser, type User, type UserRepository } from '../users/user-repository.ts'
import { hashRefreshToken, type RefreshTokens } from './refresh-tokens.ts'
import type { SessionEnder } from './session-ender.ts'
import { usedAt, usedBy, type SessionLifetimes } from './session-lifetimes.ts'
import { findSurplusSessions, insertSession, sessionsWithIds } from './session-repository.ts'
import { rememberValidity, signPair, type PlannedPair, type TokenPair } from './token-pair.ts'

export interface LoginOptions {
  users: UserRepository
  events: Pick<EventRepository, 'countFailure'>
  checkPassword: PasswordCheck
  perform: Perform
  ender: SessionEnder
  accessTokens: AccessTokens
  /** Throws `service_unavailable` while clocks differ too much. */
  requireClock: () => void
  refreshTokens: RefreshTokens
  lifetimes: SessionLifetimes
  /** The largest number of live sessions of a user. A login beyond it ends the session that was idle longest. */
  maxPerUser: number
}

/**
 * Opens a session, and resolves with its first tokens.
 *
 * Rejects with `invalid_credentials` for an unknown username and for a wrong password alike. Rejects with
 * `account_disabled` only if the password is right. Rejects with `too_many_requests` when a limit is used up.
 */
export type Login = (username: string, password: string, requester: Requester) => Promise<TokenPair>

export function createLogin (options: LoginOptions): Login {
  const { users, events, checkPassword, perform, accessTokens } = options
  return async function login (username, password, requester) {
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
    const planned = await perform(unit => openSession(unit, options, user, requester))
    return await signPair(accessTokens, planned)
  }
}

/** @param verified the user as read before the password was verified, who may have changed since */
async function openSession (
  unit: Unit,
  options: LoginOptions,
  verified: User,
  requester: Requester
): Promise<PlannedPair> {
  const { accessTokens, refreshTokens, lifetimes, maxPerUser, ender } = options
  const user = await lockUser(unit.db, verified.id, 'no key update')
  if (user === undefined || user.passwordHash !== verified.passwordHash) throw new SignoutError('invalid_credentials')
  if (user.status !== 'active') throw new SignoutError('account_disabled')

  const now = await readClock(unit.db)
  const refreshToken = refreshTokens.create()
  const maxExpiresAt = new Date(now.getTime() + lifetimes.maxAgeSeconds * 1000)
  const validity = accessTokens.plan(maxExpiresAt.getTime())
  const session = {
    id: randomUUID(),
    userId: user.id,
    createdAt: now,
    ...usedBy(requester),
    ...usedAt(now, maxExpiresAt, lifetimes),
    maxExpiresAt,
    refreshTokenHash: hashRefreshToken(refreshToken) as Uint8Array,
    accessExpiresAt: new Date(validity.expiresAt * 1000),
    ...rememberValidity(validity)
  }
  await insertSession(unit.db, session)
  unit.record({ type: 'login', userId: user.id, sessionId: session.id, ip: requester.ip })

  const surplus = await findSurplusSessions(unit.db, user.id, maxPerUser)
  // The answer says nothing of these sessions, so a failure of the blocklist must not fail the login. A retry would
  // open one more session, and end another.
  const ended = surplus.length > 0 ? await ender.endInTime(unit, sessionsWithIds(surplus), 'too_many_sessions') : []
  for (const sessionId of ended) {
    unit.record({
      type: 'session_ended',
      userId: user.id,
      sessionId,
      ip: requester.ip,
      details: { reason: 'too_many_sessions' }
    })
  }
  return {
    user,
    session,
    refreshToken,
    validity,
    plannedAt: now,
    expiresInSeconds: validity.expiresAt - validity.issuedAt
  }
}
