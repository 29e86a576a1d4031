import type { AccessTokens, AccessTokenValidity } from '../tokens/access-tokens.ts'
import type { User } from '../users/user-repository.ts'
import type { Session } from './session-repository.ts'

/** What a login or a refresh gives. Lifetimes in seconds. */
export interface TokenPair {
  accessToken: string
  expiresInSeconds: number
  refreshToken: string
  refreshExpiresInSeconds: number
}

/** What a pair is made from: everything but the signature is decided in the transaction that has the session locked. */
export interface PlannedPair {
  user: Pick<User, 'id' | 'role'>
  session: Pick<Session, 'id' | 'expiresAt'>
  refreshToken: string
  validity: AccessTokenValidity
  /** Since when its lifetimes are counted, by Postgres' clock. */
  plannedAt: Date
  expiresInSeconds: number
}

/** Signs what was planned, once the transaction is over. The role is the token's scope. */
export async function signPair (accessTokens: AccessTokens, planned: PlannedPair): Promise<TokenPair> {
  const { user, session, refreshToken, validity, plannedAt, expiresInSeconds } = planned
  return {
    accessToken: await accessTokens.sign({ userId: user.id, sessionId: session.id, scope: user.role }, validity),
    // Postgres' clock ends the session and ours issues the token: at the very end they may disagree.
    expiresInSeconds: Math.max(0, expiresInSeconds),
    refreshToken,
    refreshExpiresInSeconds: Math.max(0, Math.floor((session.expiresAt.getTime() - plannedAt.getTime()) / 1000))
  }
}

/** The columns in which a session remembers its newest access token. */
export function rememberValidity ({ id, issuedAt, expiresAt }: AccessTokenValidity) {
  return {
    accessTokenId: id,
    accessTokenIssuedAt: new Date(issuedAt * 1000),
    accessTokenExpiresAt: new Date(expiresAt * 1000)
  }
}

/** The reverse of {@link rememberValidity}. */
export function recallValidity (session: Session): AccessTokenValidity {
  return {
    id: session.accessTokenId,
    issuedAt: session.accessTokenIssuedAt.getTime() / 1000,
    expiresAt: session.accessTokenExpiresAt.getTime() / 1000
  }
}
