import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { SignoutError } from '../src/errors.ts'
import type { RevocationCheck } from '../src/revocation/revocation-check.ts'
import type { RevocableTokenClaims } from '../src/tokens/claims.ts'
import { challenge, isUnavailable, toTokenError, withClock } from './auth-errors.ts'
import { allowsUnchecked, goOnUnchecked } from './revocation-policy.ts'
import type { TokenMemory } from './token-memory.ts'

export interface AuthenticateOptions {
  memory: TokenMemory
  checkRevocation: RevocationCheck
  /** The claims of the token, which is well, by the error that says that the blocklist could not be asked about it. */
  findUnchecked: (failure: unknown) => RevocableTokenClaims | undefined
  findClockFault: (() => Error | undefined) | undefined
  /** `realm` of the `WWW-Authenticate` header (RFC 6750, section 3.1). */
  realm: string
}

type Done = (error?: Error) => void

/**
 * Makes `app.authenticate`: a hook that calls back where it is given a callback, as Fastify does, and answers a promise
 * otherwise. A token that was verified before is only asked about, without a promise on the way; any other goes through
 * `request.jwtVerify()`, which asks as well.
 */
export function createAuthenticate ({ memory, checkRevocation, findUnchecked, findClockFault, realm }: AuthenticateOptions): FastifyInstance['authenticate'] {
  async function verify (request: FastifyRequest): Promise<void> {
    const remember = memory.watch(request, request.headers.authorization)
    remember(await request.jwtVerify<RevocableTokenClaims>())
  }

  function refuse (failure: unknown, claims: RevocableTokenClaims | undefined, request: FastifyRequest, reply: FastifyReply, done: Done): void {
    if (claims !== undefined && isUnavailable(failure) && allowsUnchecked(request)) {
      goOnUnchecked(request, reply, claims)
      return done()
    }
    const error = withClock(toTokenError(failure, request.headers.authorization), findClockFault)
    if (error instanceof SignoutError) addHeaders(reply, error, realm)
    // Called back with nothing, Fastify would let the request through.
    done(error instanceof Error ? error : new Error('The token could not be verified.', { cause: error }))
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

  function authenticate (request: FastifyRequest, reply: FastifyReply, done: Done): void {
    const known = memory.recall(request, request.headers.authorization)
    if (known instanceof Promise) known.then(claims => { check(claims, request, reply, done) })
    else check(known, request, reply, done)
  }

  return ((request: FastifyRequest, reply: FastifyReply, done?: Done) => {
    if (done !== undefined) return authenticate(request, reply, done)
    return new Promise<void>((resolve, reject) => {
      authenticate(request, reply, error => { error === undefined ? resolve() : reject(error) })
    })
  }) as FastifyInstance['authenticate']
}

function addHeaders (reply: FastifyReply, error: SignoutError, realm: string): void {
  if (error.statusCode === 401) reply.header('www-authenticate', challenge(realm, error))
  if (error.retryAfterSeconds !== undefined) reply.header('retry-after', error.retryAfterSeconds)
}
