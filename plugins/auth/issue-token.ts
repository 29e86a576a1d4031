import { randomUUID } from 'node:crypto'
import type { SignOptions } from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import { SignoutError } from '../../src/errors.ts'
import { shown } from '../../src/input/check-options.ts'
import type { Blocklist } from '../../src/revocation/blocklist.ts'

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
  app: Pick<FastifyInstance, 'jwt'>, blocklist: Blocklist
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
    return app.jwt.sign({ jti: randomUUID(), sid: randomUUID(), ...claims }, options as SignOptions)
  }
}
