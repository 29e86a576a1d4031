import { randomUUID } from 'node:crypto'
import type { JWT, SignOptions } from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import { SignoutError } from '../../../src/errors.ts'
import { shown } from '../../../src/input/check-options.ts'
import type { Blocklist } from '../../../src/revocation/blocklist.ts'

/** The claims of a token that `app.issueToken` signs. */
export interface IssuedClaims {
  /** The id of the token. Made if left out. */
  jti?: string
  /** The session of the token. Made if left out, for a token that begins one. */
  sid?: string
  /** The user of the token. */
  sub?: string
  [claim: string]: unknown
}

/** Creates `app.issueToken`. A blocklist without `ready` is ready at any time. */
export function createIssueToken (
  jwt: Pick<JWT, 'sign' | 'decode'>, blocklist: Blocklist
): FastifyInstance['issueToken'] {
  return async (claims, options = {}) => {
    if (typeof claims !== 'object' || claims === null) {
      throw new TypeError(`app.issueToken takes claims as an object, such as { sub }, and was given ${shown(claims)}.`)
    }
    // The clock when the token was issued decides, and no other.
    if ('iat' in claims) throw new TypeError('app.issueToken sets iat itself.')
    try {
      await blocklist.ready?.(claims.sub)
    } catch (cause) {
      throw cause instanceof TypeError || cause instanceof SignoutError
        ? cause
        : new SignoutError('revocation_unavailable', { cause })
    }
    const { jti = randomUUID(), sid = randomUUID() } = claims
    // With an iat, even if the options of the app leave it out.
    const token = jwt.sign({ ...claims, jti, sid }, { ...options, noTimestamp: false } as SignOptions)
    if (claims['exp'] === undefined && jwt.decode<{ exp?: unknown }>(token)?.exp === undefined) {
      throw new TypeError(
        'app.issueToken needs the lifetime of the token: { expiresIn: \'15m\' }, or jwt.sign.expiresIn.'
      )
    }
    return token
  }
}
