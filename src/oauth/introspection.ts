import type { Client } from '../clients/client-authentication.ts'
import type { Database } from '../db/database.ts'
import { readClock } from '../db/clock.ts'
import { SignoutError } from '../errors.ts'
import { hashRefreshToken } from '../sessions/refresh-tokens.ts'
import { authenticatedAt } from '../sessions/recent-authentication.ts'
import { findSession, findSessionOfRefreshToken, sessionWithId } from '../sessions/session-repository.ts'
import type { AccessTokenClaims } from '../tokens/access-token-claims.ts'
import { builtInClientId } from '../tokens/access-tokens.ts'
import { OAuthError } from './oauth-error.ts'

/**
 * The answer of an introspection (RFC 7662, section 2.2). A refresh token has no `token_type`, `scope` and `aud`: an
 * API that takes it for an access token must not find what it looks for.
 */
export type Introspection =
  | { active: false }
  | { active: true, token_type: 'Bearer' } & AccessTokenClaims
  | { active: true } & Pick<AccessTokenClaims, 'client_id' | 'iss' | 'sub' | 'sid' | 'iat' | 'exp' | 'auth_time'>

/**
 * Tells a registered client whether a token is accepted now. Access tokens are checked as in any request: with the
 * blocklist. Refresh tokens are compared with the record of the session in Postgres.
 *
 * Resolves to `{ active: false }`, and nothing more, for any other text. Rejects with `unauthorized_client` for the
 * built-in client. Rejects with 503 if the blocklist, the key or Postgres cannot be asked.
 */
export type Introspect = (client: Client, token: string) => Promise<Introspection>

export interface IntrospectionOptions {
  database: Database
  issuer: string
  /** Verifies an access token, and checks the blocklist. */
  verifyToken: (token: string) => Promise<unknown>
  /** Throws `service_unavailable` while clocks differ too much. */
  requireClock: () => void
}

const inactive = { active: false } as const

export function createIntrospect (options: IntrospectionOptions): Introspect {
  const { verifyToken } = options
  const introspectRefreshToken = createRefreshTokenIntrospection(options)
  return async (client, token) => {
    if (client.isBuiltIn) {
      throw new OAuthError('unauthorized_client', { description: 'Only registered clients may introspect tokens.' })
    }
    const hash = hashRefreshToken(token)
    if (hash !== undefined) return await introspectRefreshToken(hash)
    try {
      return { active: true, token_type: 'Bearer', ...await verifyToken(token) as AccessTokenClaims }
    } catch (error) {
      if (error instanceof SignoutError && error.statusCode === 401) return inactive
      throw error
    }
  }
}

function createRefreshTokenIntrospection ({ database, issuer, requireClock }: IntrospectionOptions) {
  const seconds = (at: Date) => Math.floor(at.getTime() / 1000)
  return async (hash: Uint8Array): Promise<Introspection> => {
    requireClock()
    return await database.run(async db => {
      const found = await findSessionOfRefreshToken(db, hash)
      const session = found && await findSession(db, sessionWithId(found.id))
      if (session === undefined || session.endedAt !== null || session.expiresAt <= await readClock(db)) return inactive
      // A spent token is not active, although it may get another pair for a moment.
      if (Buffer.compare(session.refreshTokenHash, hash) !== 0) return inactive
      return {
        active: true,
        client_id: builtInClientId,
        iss: issuer,
        sub: session.userId,
        sid: session.id,
        iat: seconds(session.rotatedAt ?? session.createdAt),
        exp: seconds(session.expiresAt),
        auth_time: seconds(authenticatedAt(session))
      }
    })
  }
}
