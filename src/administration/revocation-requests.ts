import { sql } from 'drizzle-orm'
import { readClock } from '../db/clock.ts'
import type { Database, Drizzle } from '../db/database.ts'
import { sessions } from '../db/tables.ts'
import { SignoutError } from '../errors.ts'
import type { SessionEnder } from '../sessions/session-ender.ts'
import type { RequireRecent } from '../sessions/recent-authentication.ts'
import { findSession, sessionWithId, sessionsOf, type Which } from '../sessions/session-repository.ts'
import type { AccessTokens } from '../tokens/access-tokens.ts'
import type { AccessTokenClaims } from '../tokens/access-token-claims.ts'
import type { Perform, Unit } from '../unit-of-work.ts'
import { lockUser } from '../users/user-repository.ts'
import { parseUuid } from '../input/uuid.ts'
import { lockForAct, recordAct, type Administrator } from './administrator.ts'
import { countSessions, readReason, sendEveryoneOut, type OutBefore, type SessionCount } from './everyone.ts'
import { refuse } from './refusal.ts'

/**
 * A target of a revocation: one token, by its claims or its `jti`; one session; all sessions of a user; or
 * all sessions of all users.
 */
type RevocationTarget =
  | {
    kind: 'token'
    claims: Pick<AccessTokenClaims, 'jti' | 'sub' | 'exp'>
    /** in seconds since the epoch; counts if it is later than `exp` */ expiresAt?: number | undefined
  }
  | { kind: 'jti', jti: string, /** `exp` of the token, if the operator knows it */ expiresAt?: number | undefined }
  | { kind: 'session', sid: string }
  | { kind: 'subject', subject: string }
  | { kind: 'everyone', reason: string }

/** A request to revoke. Exactly one of the first five properties is set. */
export interface RevocationRequest {
  /** An access token of this service. */
  token?: string | undefined
  jti?: string | undefined
  sid?: string | undefined
  /** A user's id. */
  subject?: string | undefined
  /** True to end all sessions of all users. */
  everyone?: boolean | undefined
  /** With `everyone`: why, in one line of up to 500 characters. It is recorded. */
  reason?: string | undefined
  /**
   * With `token` or `jti`: the instant until which the token is refused, in seconds since the epoch. An instant before
   * the `exp` of the token is raised to it. For a `jti`, that is the latest `exp` of all tokens that were issued.
   */
  expiresAt?: number | undefined
}

const none = { tokens: [], sessions: [] }

type TokenTarget = RevocationTarget & { kind: 'token' | 'jti' }
type SessionsTarget = RevocationTarget & { kind: 'session' | 'subject' }

/**
 * The ids of the tokens and the sessions that were revoked, or would be. For everyone their number alone, which is null
 * if they could not be counted in time.
 */
export interface RevocationOutcome {
  tokens: string[]
  sessions: string[]
  everyone?: SessionCount | { sessions: null, users: null }
}

export interface RevocationRequestsOptions {
  database: Database
  perform: Perform
  ender: SessionEnder
  requireRecent: RequireRecent
  accessTokens: Pick<AccessTokens, 'read'>
  accessTokenLifetimeSeconds: number
}

/** Revokes by identifiers, which an operator has from a log or a report. */
export interface RevocationRequests {
  /**
   * Revokes one token, or ends sessions and revokes all their tokens. Repeating it is safe: what has ended is revoked
   * again. Rejects with `invalid_request` if the request does not name exactly one valid target. Rejects with
   * `not_found` for an unknown session or user.
   */
  revoke (request: RevocationRequest, by: Administrator): Promise<RevocationOutcome>
  /** Returns what `revoke` would end, and ends nothing. */
  preview (request: RevocationRequest): Promise<RevocationOutcome>
}

export function createRevocationRequests (options: RevocationRequestsOptions): RevocationRequests {
  const { database, perform, ender, requireRecent } = options

  async function revokeToken (unit: Unit, target: TokenTarget, by: Administrator): Promise<RevocationOutcome> {
    await lockForAct(unit, requireRecent, by)
    const id = idOf(target)
    const atLeast =
      target.kind === 'token' ? target.claims.exp : await findLatestExpiry(unit.db, options.accessTokenLifetimeSeconds)
    const expiresAt = Math.max(atLeast, target.expiresAt ?? 0)
    const subject = target.kind === 'token' ? target.claims.sub : undefined
    unit.revoke([{ scope: 'token', id, expiresAt, subject, reason: 'token_revoked' }])
    recordAct(unit, { type: 'token_revoked', userId: subject, details: { jti: id } }, by)
    return { tokens: [id], sessions: [] }
  }

  async function endSessions (unit: Unit, target: SessionsTarget, by: Administrator): Promise<RevocationOutcome> {
    const which = selected(target)
    const known = await findSession(unit.db, which)
    await lockForAct(unit, requireRecent, by, target.kind === 'subject' ? target.subject : known?.userId)
    if (known === undefined) await requireUser(unit.db, target)
    const ended = await ender.end(unit, which, 'ended_by_admin')
    const whose =
      target.kind === 'session' ? { userId: known?.userId, sessionId: target.sid } : { userId: target.subject }
    recordAct(unit, { type: 'sessions_revoked', ...whose, details: { sessions: ended.length } }, by)
    return { tokens: [], sessions: ended }
  }

  async function countEveryone (out?: OutBefore): Promise<RevocationOutcome> {
    return { ...none, everyone: await database.run(db => countSessions(db, out)) }
  }

  return {
    async revoke (request, by) {
      const target = await toTarget(options, request)
      if (target.kind === 'everyone') {
        const out = await perform(unit => sendEveryoneOut(unit, requireRecent, target.reason, by))
        // Everyone is out by now. An error would say that it has to be repeated.
        return await countEveryone(out).catch(() => ({ ...none, everyone: { sessions: null, users: null } }))
      }
      return await perform(unit =>
        isTokenTarget(target) ? revokeToken(unit, target, by) : endSessions(unit, target, by)
      )
    },
    async preview (request) {
      const target = await toTarget(options, request)
      if (target.kind === 'everyone') return await countEveryone()
      if (isTokenTarget(target)) return { tokens: [idOf(target)], sessions: [] }
      return await database.run(async db => {
        const found = await ender.preview(db, selected(target))
        if (found.length === 0 && await findSession(db, selected(target)) === undefined) await requireUser(db, target)
        return { tokens: [], sessions: found }
      })
    }
  }
}

/** Returns the target of a request. Throws `invalid_request` unless there is exactly one. */
async function toTarget (
  { accessTokens }: Pick<RevocationRequestsOptions, 'accessTokens'>, request: RevocationRequest
): Promise<RevocationTarget> {
  const { token, jti, sid, subject, everyone = false, reason, expiresAt } = request
  if ([token, jti, sid, subject, everyone || undefined].filter(given => given !== undefined).length !== 1) {
    throw refuse('Send exactly one of token, jti, sid, subject and everyone.')
  }
  if (expiresAt !== undefined && token === undefined && jti === undefined) {
    throw refuse('Only a token or a jti can have an expires_at beside it.')
  }
  if (everyone) return { kind: 'everyone', reason: readReason(reason) }
  if (reason !== undefined) throw refuse('Only everyone can have a reason beside it.')
  if (jti !== undefined) return { kind: 'jti', jti: readId('jti', jti), expiresAt }
  if (sid !== undefined) return { kind: 'session', sid: readId('sid', sid) }
  if (subject !== undefined) return { kind: 'subject', subject: readId('subject', subject) }
  const claims = await accessTokens.read(token as string)
  if (claims === undefined) throw refuse('The token is not an access token of this service.')
  return { kind: 'token', claims, expiresAt }
}

/**
 * Returns the canonical form of an id. Throws `invalid_request` if the text is not a UUID. The error does not repeat
 * the text.
 */
function readId (name: 'jti' | 'sid' | 'subject', text: string): string {
  const id = parseUuid(text)
  if (id === undefined) {
    throw new SignoutError('invalid_request', { details: [{ path: `/${name}`, message: 'must be a UUID' }] })
  }
  return id
}

function isTokenTarget (target: RevocationTarget): target is TokenTarget {
  return target.kind === 'token' || target.kind === 'jti'
}

function idOf (target: TokenTarget): string {
  return target.kind === 'token' ? target.claims.jti : target.jti
}

function selected (target: SessionsTarget): Which {
  return target.kind === 'session' ? sessionWithId(target.sid) : sessionsOf(target.subject)
}

/** Throws `not_found` unless the target is an existing user. A user may have no sessions. */
async function requireUser (db: Drizzle, target: SessionsTarget): Promise<void> {
  if (target.kind !== 'subject' || (await lockUser(db, target.subject, 'share')) === undefined) {
    throw new SignoutError('not_found')
  }
}

/**
 * Returns the latest `exp` of all access tokens that were issued until now, in seconds since the epoch. An earlier end
 * is not safe for a token of which only the `jti` is known. Sessions hold the `exp` of tokens that were issued with a
 * longer lifetime.
 */
async function findLatestExpiry (db: Drizzle, lifetimeSeconds: number): Promise<number> {
  const now = await readClock(db)
  const [latest] = await db
    .select({ at: sql`max(${sessions.accessExpiresAt})`.mapWith(sessions.accessExpiresAt) })
    .from(sessions)
  return Math.max(Math.ceil(now.getTime() / 1000) + lifetimeSeconds, Math.ceil((latest?.at?.getTime() ?? 0) / 1000))
}
