import type { Requester } from '../input/requester.ts'
import { readClock } from '../db/clock.ts'
import type { Database } from '../db/database.ts'
import { SignoutError, type ErrorCode } from '../errors.ts'
import type { Limits } from '../limits/limits.ts'
import type { AccessTokens } from '../tokens/access-tokens.ts'
import type { Perform, Unit } from '../unit-of-work.ts'
import { lockUserToSign, type UserWithScope } from '../users/user-repository.ts'
import { createRotationSalt, hashRefreshToken } from './refresh-tokens.ts'
import { countRepetition, endReused, judgeSpent, type Presented, type SpentTokenRules } from './reuse.ts'
import type { SessionEnder } from './session-ender.ts'
import { usedAt, usedBy, type SessionLifetimes } from './session-lifetimes.ts'
import {
  findSessionOfRefreshToken, lockSession, rotate, sessionWithId, supersede, type Rotation, type Session
} from './session-repository.ts'
import { recallValidity, rememberValidity, signPair, type PlannedPair, type TokenPair } from './token-pair.ts'

export interface RefreshOptions extends SpentTokenRules {
  database: Database
  perform: Perform
  limits: Limits
  ender: SessionEnder
  accessTokens: AccessTokens
  /** Throws `service_unavailable` while clocks differ too much. */
  requireClock: () => void
  lifetimes: SessionLifetimes
}

/**
 * Exchanges a refresh token for a new pair (RFC 6749, section 6; rotation as in RFC 9700, section 4.14.2).
 *
 * Within the grace, the token that was just spent gets the same pair again: two tabs may refresh at once. After it, the
 * token gets another pair while its successor is unused: an answer may be lost. The first successor is then superseded.
 *
 * Rejects with `invalid_token` for an unknown token, `token_expired` if its session has expired, and `token_revoked` if
 * its session has ended. Rejects with `refresh_token_reused` if the token was spent before, or was superseded. Its
 * session then ends, because one of two holders of the token has stolen it.
 */
export type Refresh = (
  refreshToken: string,
  requester: Requester,
  /** Called with the scope of the next token. If it throws, nothing has happened. */
  checkScope?: (scope: string) => void
) => Promise<TokenPair>

export function createRefresh (options: RefreshOptions): Refresh {
  const { database, perform, limits, accessTokens } = options
  return async function refresh (token, requester, checkScope) {
    const hash = hashRefreshToken(token)
    const found = hash && await database.run(db => findSessionOfRefreshToken(db, hash))
    if (hash === undefined || found === undefined) throw new SignoutError('invalid_token')
    // Checked before anything is compared with a time: the end of the session, and the grace of a spent token.
    options.requireClock()
    await limits.refresh(found)
    const outcome = await perform(unit => exchange(unit, options, found, { token, hash, requester, checkScope }))
    if (typeof outcome === 'string') throw new SignoutError(outcome)
    return await signPair(accessTokens, outcome)
  }
}

/** Returns a failure as its code. An error would roll back what was recorded about the session. */
async function exchange (
  unit: Unit,
  options: RefreshOptions,
  found: Pick<Session, 'id' | 'userId'>,
  presented: Presented
): Promise<PlannedPair | ErrorCode> {
  const { ender } = options
  // The common order of locks: the roles, the user, then the session.
  const user = await lockUserToSign(unit.db, found.userId, 'share')
  const session = await lockSession(unit.db, found.id)
  if (session === undefined) return 'invalid_token'
  const now = await readClock(unit.db)
  const isLive = isSame(session.refreshTokenHash, presented.hash)

  if (session.endedAt !== null || user === undefined) {
    if (isLive || user === undefined) await ender.revokeEnded(unit, sessionWithId(session.id))
    else await endReused(unit, options, session, now, presented.requester)
    return !isLive && session.endReason === 'refresh_token_reused' ? 'refresh_token_reused' : 'token_revoked'
  }
  const isExpired = session.expiresAt <= now
  if (isLive) return isExpired ? 'token_expired' : await renew(unit, options, user, session, now, presented)
  const judged = await judgeSpent(unit.db, options, session, presented, now)
  if (judged === 'stolen') {
    await endReused(unit, options, session, now, presented.requester)
    return 'refresh_token_reused'
  }
  if (isExpired) return 'token_expired'
  countRepetition(unit, session, presented.requester)
  return judged === 'in grace'
    ? repeat(options, user, session, now, presented)
    : await renew(unit, options, user, session, now, presented, supersedeLive)
}

/** Stores the next pair of a session. */
type StoreNext = (unit: Unit, session: Session, presented: Presented, rotation: Rotation) => Promise<void>

const spendLive: StoreNext = (unit, session, _presented, rotation) => rotate(unit.db, session, rotation)

/**
 * Supersedes the live token, which is unused, and revokes its access token. So at most one of two parties can go on,
 * also with services that verify by JWKS alone.
 */
const supersedeLive: StoreNext = async (unit, session, { hash }, rotation) => {
  const { accessTokenId, accessTokenExpiresAt, userId } = session
  await supersede(unit.db, session, hash, rotation)
  // The answer says nothing of this token, and a failure of the blocklist must not fail the refresh.
  unit.revokeInTime([{
    scope: 'token',
    id: accessTokenId,
    expiresAt: accessTokenExpiresAt.getTime() / 1000,
    subject: userId,
    reason: 'superseded'
  }])
}

/** Spends the live token, or supersedes it, and plans the next pair. */
async function renew (
  unit: Unit,
  options: RefreshOptions,
  user: UserWithScope,
  session: Session,
  now: Date,
  presented: Presented,
  store: StoreNext = spendLive
): Promise<PlannedPair> {
  const { token, requester, checkScope } = presented
  checkScope?.(user.scope)
  const { accessTokens, refreshTokens, lifetimes, graceSeconds } = options
  const salt = createRotationSalt()
  const refreshToken = refreshTokens.deriveSuccessor(token, session.id, salt)
  const validity = accessTokens.plan(session.maxExpiresAt.getTime())
  const used = usedAt(now, session.maxExpiresAt, lifetimes)
  await store(unit, session, presented, {
    ...used,
    ...usedBy(requester),
    ...rememberValidity(validity),
    refreshTokenHash: hashRefreshToken(refreshToken) as Uint8Array,
    rotationSalt: graceSeconds > 0 ? salt : null,
    rotatedAt: now,
    // An earlier token may have been issued with a longer lifetime.
    accessExpiresAt: new Date(Math.max(session.accessExpiresAt.getTime(), validity.expiresAt * 1000))
  })
  unit.count({ type: 'refresh', userId: user.id, sessionId: session.id, requester })
  return {
    user,
    session: { ...session, expiresAt: used.expiresAt },
    refreshToken,
    validity,
    plannedAt: now,
    expiresInSeconds: validity.expiresAt - validity.issuedAt
  }
}

/** Plans the pair that was already answered. Nothing is renewed. */
function repeat (
  { refreshTokens }: RefreshOptions,
  user: UserWithScope,
  session: Session,
  now: Date,
  { token, checkScope }: Presented
): PlannedPair {
  checkScope?.(user.scope)
  const validity = recallValidity(session)
  const refreshToken = refreshTokens.deriveSuccessor(token, session.id, session.rotationSalt as Uint8Array)
  return {
    user,
    session,
    refreshToken,
    validity,
    plannedAt: now,
    expiresInSeconds: validity.expiresAt - Math.floor(now.getTime() / 1000)
  }
}

function isSame (a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
