import { sql } from 'drizzle-orm'
import { readClock } from '../db/clock.ts'
import type { Database, Drizzle } from '../db/database.ts'
import { sessions } from '../db/tables.ts'
import { SignoutError } from '../errors.ts'
import type { SessionEnder } from '../sessions/session-ender.ts'
import { findSession, sessionWithId, sessionsOf, type Which } from '../sessions/session-repository.ts'
import type { AccessTokens } from '../tokens/access-tokens.ts'
import type { AccessTokenClaims } from '../tokens/claims.ts'
import type { Perform, Unit } from '../unit-of-work.ts'
import { lockUser } from '../users/user-repository.ts'
import { parseUuid } from '../input/uuid.ts'
import { lockForAct, recordAct, type Administrator } from './administrator.ts'

/** What is to be revoked: one token by its claims, one session, or all sessions of a user. */
type RevocationTarget =
  | {
    kind: 'token'
    claims: Pick<AccessTokenClaims, 'jti' | 'sub' | 'exp'>
    /** until when, if that is later */ expiresAt?: number | undefined
  }
  | { kind: 'jti', jti: string, /** `exp`, as far as the operator knows it */ expiresAt?: number | undefined }
  | { kind: 'session', sid: string }
  | { kind: 'subject', subject: string }

/** What to revoke, as it is asked for: exactly one of the first four. */
export interface RevocationRequest {
  /** An access token of ours. */
  token?: string | undefined
  jti?: string | undefined
  sid?: string | undefined
  /** A user's id. */
  subject?: string | undefined
  /**
   * With `token` or `jti`: until when it is to be refused, in seconds since the epoch. Never taken for less than its
   * `exp` or, where only the `jti` is known, than the last `exp` that it can have.
   */
  expiresAt?: number | undefined
}

type TokenTarget = RevocationTarget & { kind: 'token' | 'jti' }
type SessionsTarget = RevocationTarget & { kind: 'session' | 'subject' }

/** What was revoked, or would be: ids of tokens and of sessions. */
export interface RevocationOutcome {
  tokens: string[]
  sessions: string[]
}

export interface RevocationRequestsOptions {
  database: Database
  perform: Perform
  ender: SessionEnder
  accessTokens: Pick<AccessTokens, 'read'>
  /** How long an access token lives. */
  accessTokenLifetimeSeconds: number
}

/** Revocation by identifier, as an operator has it from a log or a report. */
export interface RevocationRequests {
  /**
   * Revokes a token alone, or ends sessions with everything that belongs to them. Rejects with `invalid_request` for
   * what does not say which, with `not_found` for a session or a user that nobody knows of, and may be repeated: what
   * has ended already is revoked again.
   */
  revoke (request: RevocationRequest, by: Administrator): Promise<RevocationOutcome>
  /** What `revoke` would end. Ends nothing. */
  preview (request: RevocationRequest): Promise<RevocationOutcome>
}

export function createRevocationRequests (options: RevocationRequestsOptions): RevocationRequests {
  const { database, perform, ender, accessTokens } = options

  async function toTarget (request: RevocationRequest): Promise<RevocationTarget> {
    const { token, jti, sid, subject, expiresAt } = request
    if ([token, jti, sid, subject].filter(given => given !== undefined).length !== 1) {
      throw refuse('Send exactly one of token, jti, sid and subject.')
    }
    if (expiresAt !== undefined && token === undefined && jti === undefined) {
      throw refuse('Only a token or a jti can have an expires_at beside it.')
    }
    if (jti !== undefined) return { kind: 'jti', jti: readId('jti', jti), expiresAt }
    if (sid !== undefined) return { kind: 'session', sid: readId('sid', sid) }
    if (subject !== undefined) return { kind: 'subject', subject: readId('subject', subject) }
    const claims = await accessTokens.read(token as string)
    if (claims === undefined) throw refuse('The token is not an access token of this service.')
    return { kind: 'token', claims, expiresAt }
  }

  async function revokeToken (unit: Unit, target: TokenTarget, by: Administrator): Promise<RevocationOutcome> {
    await lockForAct(unit, by)
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
    await lockForAct(unit, by, target.kind === 'subject' ? target.subject : known?.userId)
    if (known === undefined) await requireUser(unit.db, target)
    const ended = await ender.end(unit, which, 'ended_by_admin')
    const whose =
      target.kind === 'session' ? { userId: known?.userId, sessionId: target.sid } : { userId: target.subject }
    recordAct(unit, { type: 'sessions_revoked', ...whose, details: { sessions: ended.length } }, by)
    return { tokens: [], sessions: ended }
  }

  return {
    async revoke (request, by) {
      const target = await toTarget(request)
      return await perform(unit =>
        isTokenTarget(target) ? revokeToken(unit, target, by) : endSessions(unit, target, by)
      )
    },
    async preview (request) {
      const target = await toTarget(request)
      if (isTokenTarget(target)) return { tokens: [idOf(target)], sessions: [] }
      return await database.run(async db => {
        const found = await ender.preview(db, selected(target))
        if (found.length === 0 && await findSession(db, selected(target)) === undefined) await requireUser(db, target)
        return { tokens: [], sessions: found }
      })
    }
  }
}

function refuse (description: string): SignoutError {
  return new SignoutError('invalid_request', { description })
}

/**
 * Returns the canonical form of an id. Throws `invalid_request` for a text that cannot be one, and does not repeat it.
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

/** A user without sessions has nothing to end; a session or a user that is not there is a mistake worth telling. */
async function requireUser (db: Drizzle, target: SessionsTarget): Promise<void> {
  if (target.kind !== 'subject' || (await lockUser(db, target.subject, 'share')) === undefined) {
    throw new SignoutError('not_found')
  }
}

/**
 * When the last access token that was issued by now expires, in seconds since the epoch: of a token of which only the
 * `jti` is known, nothing less is safe. Tokens that are older than a change of the lifetime are in their sessions.
 */
async function findLatestExpiry (db: Drizzle, lifetimeSeconds: number): Promise<number> {
  const now = await readClock(db)
  const [latest] = await db
    .select({ at: sql`max(${sessions.accessExpiresAt})`.mapWith(sessions.accessExpiresAt) })
    .from(sessions)
  return Math.max(Math.ceil(now.getTime() / 1000) + lifetimeSeconds, Math.ceil((latest?.at?.getTime() ?? 0) / 1000))
}
