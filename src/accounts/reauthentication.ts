import type { Requester } from '../input/requester.ts'
import type { Limits } from '../limits/limits.ts'
import type { AccessTokens } from '../tokens/access-tokens.ts'
import type { Perform } from '../unit-of-work.ts'
import { isUnchanged, repeatedly, type ProvePassword } from '../users/password-proof.ts'
import { lockUserToSign } from '../users/user-repository.ts'
import { requireReplaceable, type OwnSession } from '../sessions/own-session.ts'
import type { OpenSession } from '../sessions/opening.ts'
import type { SessionEnder } from '../sessions/session-ender.ts'
import { sessionOf } from '../sessions/session-repository.ts'
import { signPair, type TokenPair } from '../sessions/token-pair.ts'

export interface ReauthenticationOptions {
  provePassword: ProvePassword
  limits: Limits
  perform: Perform
  ender: SessionEnder
  openSession: OpenSession
  accessTokens: AccessTokens
  /** Throws `service_unavailable` while clocks differ too much. */
  requireClock: () => void
}

/**
 * Proves the password again: opens a new session in place of the own one, which ends, and resolves with the first
 * tokens of the new one. A thief with tokens of the old session has lost it.
 *
 * If the old session was replaced already, the password is proved all the same, and a session is opened as at a login.
 * So a request whose answer was lost can be repeated.
 *
 * Rejects with `invalid_credentials` (403) for a wrong password, which counts as a failed attempt. Rejects with
 * `token_revoked` if the session has ended otherwise.
 */
export type Reauthenticate = (own: OwnSession, password: string, requester: Requester) => Promise<TokenPair>

export function createReauthentication (options: ReauthenticationOptions): Reauthenticate {
  const { provePassword, limits, perform, ender, openSession, accessTokens, requireClock } = options
  return async (own, password, requester) => {
    requireClock()
    const planned = await repeatedly(async () => {
      const { user } = await provePassword(own, [password], requester)
      await limits.login(user.id)
      return await perform(async unit => {
        const locked = await lockUserToSign(unit.db, user.id, 'no key update')
        if (!isUnchanged(user, locked)) return undefined
        await requireReplaceable(unit, own, 'reauthenticated')
        await ender.end(unit, sessionOf(own.userId, own.sessionId), 'reauthenticated')
        const pair = await openSession(unit, locked, requester)
        unit.record({ type: 'reauthenticated', userId: user.id, sessionId: pair.session.id, requester })
        return pair
      })
    })
    return await signPair(accessTokens, planned)
  }
}
