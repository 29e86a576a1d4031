import { randomUUID } from 'node:crypto'
import { decodeJwt } from 'jose'
import type { FastifyInstance } from 'fastify'
import { signIn, type Pair } from './people.ts'
import { get, refresh } from './requests.ts'
import { nowSeconds } from './tokens.ts'

/** The claims of an access token that tests read. */
interface Claims {
  jti: string
  sid: string
  sub: string
  scope: string
  iat: number
  exp: number
}

/** Returns the claims of the access token of a pair. */
export function claimsOf ({ access_token: token }: Pick<Pair, 'access_token'>): Claims {
  return decodeJwt<Claims>(token)
}

/** Returns the id of the session that a pair belongs to. */
export function sessionIdOf (pair: Pick<Pair, 'access_token'>): string {
  return claimsOf(pair).sid
}

/** Returns another access token of the session of a pair, which has expired a minute ago. */
export function expire (app: FastifyInstance, pair: Pick<Pair, 'access_token'>): Promise<string> {
  const { sub, sid, scope } = claimsOf(pair)
  const validity = { id: randomUUID(), issuedAt: nowSeconds() - 960, expiresAt: nowSeconds() - 60 }
  return app.accessTokens.sign({ userId: sub, sessionId: sid, scope, authenticatedAt: new Date() }, validity)
}

/** Signs in, and refreshes a number of times. Returns all pairs of the session, newest last. */
export async function signInAndRefresh (
  app: FastifyInstance, username: string, times: number, options: { password?: string } = {}
): Promise<Pair[]> {
  const pairs = [await signIn(app, username, options)]
  for (let time = 0; time < times; time++) {
    pairs.push((await refresh(app, String(pairs.at(-1)?.refresh_token))).json())
  }
  return pairs
}

/** Returns true if an access token is accepted. Throws for any answer but 200 and 401. */
export async function isAccepted (app: FastifyInstance, { access_token: token }: Pair): Promise<boolean> {
  const { statusCode } = await get(app, '/token', token)
  if (statusCode !== 200 && statusCode !== 401) throw new Error(`Expected 200 or 401, and got ${statusCode}.`)
  return statusCode === 200
}

/**
 * Returns the errors that the access token and the refresh token of a pair get; `undefined` for a token that is
 * accepted.
 */
export async function refusals (
  app: FastifyInstance, pair: Pair
): Promise<{ access: string | undefined, refresh: string | undefined }> {
  const access = await get(app, '/token', pair.access_token)
  const refreshed = await refresh(app, pair.refresh_token)
  return { access: access.json().error, refresh: refreshed.json().error }
}

/** The errors that both tokens of a session get after its end. */
export const ended = { access: 'token_revoked', refresh: 'token_revoked' }
