import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { SignoutError } from '../../src/errors.ts'
import type { CheckDone } from '../../src/revocation/revocation-check.ts'
import type { RevocableTokenClaims } from '../../src/tokens/claims.ts'
import { isUnavailable, toTokenError, withClock } from './errors.ts'
import { soleAuthorization } from './authorization.ts'
import { allowsUnchecked, goOnUnchecked } from './revocation-policy.ts'
import type { TokenMemory } from './token-memory.ts'

export interface AuthenticateOptions {
  memory: TokenMemory
  checkRevocation: (claims: RevocableTokenClaims, done: CheckDone) => void
  /** The claims of the token, which is well, by the error that says that the blocklist could not be asked about it. */
  findUnchecked: (failure: unknown) => RevocableTokenClaims | undefined
  findClockFault: (() => Error | undefined) | undefined
}

type Done = (error?: Error) => void

/**
 * Makes `app.authenticate`: a hook that calls back where it is given a callback, as Fastify does, and answers a promise
 * otherwise. A token that was verified before is only asked about, without a promise on the way; any other goes through
 * `request.jwtVerify()`, which asks as well.
 */
export function createAuthenticate ({ memory, checkRevocation, findUnchecked, findClockFault }: AuthenticateOptions): FastifyInstance['authenticate'] {
  async function verify (request: FastifyRequest): Promise<void> {
    const remember = memory.watch(request, soleAuthorization(request))
    remember(await request.jwtVerify<RevocableTokenClaims>())
  }

  function refuse (failure: unknown, claims: RevocableTokenClaims | undefined, request: FastifyRequest, reply: FastifyReply, done: Done): void {
    if (claims !== undefined && isUnavailable(failure) && allowsUnchecked(request)) {
      goOnUnchecked(request, reply, claims)
      return done()
    }
    // Called back with nothing, Fastify would let the request through.
    done(withClock(toTokenError(failure), findClockFault))
  }

  function check (claims: RevocableTokenClaims | undefined, request: FastifyRequest, reply: FastifyReply, done: Done): void {
    if (claims === undefined) {
      verify(request).then(() => { done() }, failure => { refuse(failure, findUnchecked(failure), request, reply, done) })
      return
    }
    checkRevocation(claims, error => {
      if (error !== undefined) return refuse(error, claims, request, reply, done)
      request.user = claims as FastifyRequest['user']
      done()
    })
  }

  function recall (request: FastifyRequest): ReturnType<TokenMemory['recall']> | SignoutError {
    try {
      return memory.recall(request, soleAuthorization(request))
    } catch (error) {
      return toTokenError(error)
    }
  }

  function authenticate (request: FastifyRequest, reply: FastifyReply, done: Done): void {
    const known = recall(request)
    if (known instanceof SignoutError) return refuse(known, undefined, request, reply, done)
    if (!(known instanceof Promise)) return check(known, request, reply, done)
    known.then(claims => { check(claims, request, reply, done) }, failure => { refuse(failure, undefined, request, reply, done) })
  }

  return ((request: FastifyRequest, reply: FastifyReply, done?: Done) => {
    if (done !== undefined) return authenticate(request, reply, done)
    return new Promise<void>((resolve, reject) => {
      authenticate(request, reply, error => { error === undefined ? resolve() : reject(error) })
    })
  }) as FastifyInstance['authenticate']
}
