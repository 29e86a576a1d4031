import type { FastifyInstance } from 'fastify'
import type { SignoutError } from '../../src/errors.ts'
import { LifetimeError } from '../../src/tokens/claims.ts'

/** The shortest pause between two lines, in milliseconds: a client sends its token again and again. */
const pauseMs = 60_000

/** Creates a log of tokens that are refused because they have no `iat`, or live too long: an app has to change that. */
export function createLifetimeLog (app: Pick<FastifyInstance, 'log'>): (error: SignoutError) => void {
  let loggedAt = -Infinity
  return ({ cause }) => {
    if (!(cause instanceof LifetimeError) || performance.now() - loggedAt < pauseMs) return
    loggedAt = performance.now()
    app.log.warn({ err: cause }, 'A token was refused. The app has to sign it otherwise.')
  }
}
