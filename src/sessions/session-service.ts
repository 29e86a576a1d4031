import { randomUUID } from 'node:crypto'
import { SignoutError } from '../errors.ts'
import type { Revoker } from '../revocation/revoker.ts'
import type { AccessTokens, IssuedAccessToken } from '../tokens/access-tokens.ts'
import type { AccessTokenClaims } from '../tokens/claims.ts'
import { isUsername, normalizePassword } from '../users/credentials.ts'
import type { PasswordHasher } from '../users/password-hasher.ts'
import type { UserRepository } from '../users/user-repository.ts'

export interface SessionServiceOptions {
  users: UserRepository
  passwords: PasswordHasher
  accessTokens: AccessTokens
  revoker: Revoker
}

/** Opens sessions and ends them. */
export interface SessionService {
  /** Opens a session. Throws `invalid_credentials`, and does not tell an unknown username from a wrong password. */
  login (username: string, password: string): Promise<IssuedAccessToken>
  /**
   * Ends the session of a verified token: the token, and every other token of its session. Once it resolves they are
   * refused on every replica (P1, P5). Rejects with `revocation_unavailable` when that cannot be confirmed; trying
   * again is safe.
   */
  logout (claims: AccessTokenClaims): Promise<void>
}

export function createSessionService (options: SessionServiceOptions): SessionService {
  const { users, passwords, accessTokens, revoker } = options
  return {
    async login (username, password) {
      const user = isUsername(username) ? await users.findByUsername(username) : undefined
      // What is not well-formed has no encoding, and would match whatever stands for it there.
      const passwordHash = password.isWellFormed() ? user?.passwordHash : undefined
      const matches = await passwords.verify(normalizePassword(password), passwordHash)
      if (user === undefined || !matches) throw new SignoutError('invalid_credentials')
      return await accessTokens.issue({ userId: user.id, sessionId: randomUUID(), scope: 'user' })
    },
    async logout ({ jti, sid, exp }) {
      await revoker.revoke([
        { scope: 'token', id: jti, expiresAt: exp },
        { scope: 'session', id: sid, expiresAt: exp }
      ])
    }
  }
}
