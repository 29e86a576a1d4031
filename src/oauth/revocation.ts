import type { Client } from '../clients/client-authentication.ts'
import type { Database } from '../db/database.ts'
import { SignoutError } from '../errors.ts'
import type { Requester } from '../input/requester.ts'
import type { AccessProof, LogOut } from '../logout/logout.ts'
import { hashRefreshToken } from '../sessions/refresh-tokens.ts'
import { findSessionOfRefreshToken } from '../sessions/session-repository.ts'
import { builtInClientId } from '../tokens/access-tokens.ts'
import { OAuthError } from './oauth-error.ts'

/**
 * Ends the session of an access token or of a refresh token, as `POST /logout` does (RFC 7009). Once it resolves, every
 * replica refuses all tokens of the session. It also resolves for a text that is no token, and for a token whose
 * session is over.
 *
 * Rejects with `unauthorized_client` for a token of another client, unless the client may revoke every token. Rejects
 * with 503 if the end is not confirmed: repeating it is safe.
 */
export type RevokeToken = (client: Client, token: string, requester: Requester) => Promise<void>

export interface RevocationOptions {
  database: Database
  logOut: LogOut
  /** Reads an access token that ends something. Resolves with a refusal for any other text. */
  readProof: (token: string) => Promise<AccessProof>
}

export function createRevokeToken ({ database, logOut, readProof }: RevocationOptions): RevokeToken {
  async function requireRight (client: Client, isKnown: () => boolean | Promise<boolean>): Promise<void> {
    if (client.id === builtInClientId || client.mayRevoke || !await isKnown()) return
    throw new OAuthError('unauthorized_client', {
      description: 'The token belongs to another client, and this client was not created with --may-revoke.'
    })
  }

  return async (client, token, requester) => {
    const request = {
      scope: 'session' as const,
      requester,
      ...!client.isBuiltIn && { clientId: client.id }
    }
    try {
      // The form tells which token it is, so no hint is needed.
      const hash = hashRefreshToken(token)
      if (hash === undefined) {
        const access = await readProof(token)
        await requireRight(client, () => access.claims !== undefined)
        await logOut({ access, refreshToken: undefined }, request)
      } else {
        await requireRight(client, async () =>
          await database.run(db => findSessionOfRefreshToken(db, hash)) !== undefined)
        await logOut({ access: undefined, refreshToken: token }, request)
      }
    } catch (error) {
      // It is no token, or its session is over on every replica: that is what the client wants.
      if (!(error instanceof SignoutError) || error instanceof OAuthError || error.statusCode !== 401) throw error
    }
  }
}
