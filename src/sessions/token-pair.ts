import type { AccessTokens, AccessTokenValidity } from '../tokens/access-tokens.ts'
import type { UserWithScope } from '../users/user-repository.ts'
import { authenticatedAt } from './recent-authentication.ts'
import type { Session } from './session-repository.ts'

/** The tokens that a login or a refresh returns. */
export interface TokenPair {
  accessToken: string
  expiresInSeconds: number
  refreshToken: string
  refreshExpiresInSeconds: number
  /** The scope of the access token, space-separated. */
  scope: string
}

/** A pair before it is signed. Everything but the signature is decided in the transaction that locks the session. */
export interface PlannedPair {
  user: Pick<UserWithScope, 'id' | 'scope'>
  session: Pick<Session, 'id' | 'createdAt' | 'expiresAt'>
  refreshToken: string
  validity: AccessTokenValidity
  /** The instant from which the lifetimes count, by Postgres' clock. */
  plannedAt: Date
  expiresInSeconds: number
}

/** Signs a planned pair, after the transaction. The token has the scopes of the user's role. */
export async function signPair (accessTokens: AccessTokens, planned: PlannedPair): Promise<TokenPair> {
  const { user, session, refreshToken, validity, plannedAt, expiresInSeconds } = planned
  const subject = {
    userId: user.id,
    sessionId: session.id,
    scope: user.scope,
    authenticatedAt: authenticatedAt(session)
  }
  return {
    accessToken: await accessTokens.sign(subject, validity),
    // Postgres' clock ends the session, and our clock issues the token. So the difference can be negative at the very
    // end.
    expiresInSeconds: Math.max(0, expiresInSeconds),
    refreshToken,
    scope: subject.scope,
    refreshExpiresInSeconds: Math.max(0, Math.floor((session.expiresAt.getTime() - plannedAt.getTime()) / 1000))
  }
}

/** Returns the columns in which a session remembers its newest access token. */
export function rememberValidity ({ id, issuedAt, expiresAt }: AccessTokenValidity) {
  return {
    accessTokenId: id,
    accessTokenIssuedAt: new Date(issuedAt * 1000),
    accessTokenExpiresAt: new Date(expiresAt * 1000)
  }
}

/** Returns the newest access token that a session remembers. The reverse of {@link rememberValidity}. */
export function recallValidity (session: Session): AccessTokenValidity {
  return {
    id: session.accessTokenId,
    issuedAt: session.accessTokenIssuedAt.getTime() / 1000,
    expiresAt: session.accessTokenExpiresAt.getTime() / 1000
  }
}
