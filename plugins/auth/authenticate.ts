import type { FastifyInstance, FastifyReply, FastifyRequest, RouteGenericInterface } from 'fastify'
import { SignoutError } from '../../src/errors.ts'
import type { RevocationCheck } from '../../src/revocation/revocation-check.ts'
import { hasExpired, type RevocableTokenClaims } from '../../src/tokens/claims.ts'
import { plainBearer } from './authorization.ts'
import { isUnavailable } from './errors.ts'
import { allowsUnchecked, goOnUnchecked } from './revocation-policy.ts'
import type { Verification } from './verification.ts'

export interface AuthenticateOptions {
  verification: Verification
  /** Reads the token from the place that the app has chosen. Throws if there is none. */
  readToken: (request: FastifyRequest) => string
  checkRevocation: RevocationCheck
  /** Returns the error of signout for an error that was thrown. */
  toRefusal: (failure: unknown) => SignoutError
}

/** A request of any server: HTTP/1.1, HTTP/2, with TLS or without. */
export type AnyRequest = FastifyRequest<RouteGenericInterface, any, any>
/** The reply to an {@link AnyRequest}. */
export type AnyReply = FastifyReply<RouteGenericInterface, any, any, any>

type Done = (error?: Error) => void

/**
 * Creates `app.authenticate`: a hook that calls back if it gets a callback, as from Fastify, and otherwise returns a
 * promise. It finds the claims of the token, then checks the blocklist. A remembered token needs no promise on the way.
 */
export function createAuthenticate (options: AuthenticateOptions): FastifyInstance['authenticate'] {
  const { verification: { recall, findClaims }, readToken, checkRevocation, toRefusal } = options

  function find (request: FastifyRequest): ReturnType<Verification['findClaims']> {
    const text = plainBearer(request)
    const known = text === undefined ? undefined : recall(text, request)
    return known ?? findClaims(readToken(request), request)
  }

  function check (claims: RevocableTokenClaims, request: FastifyRequest, reply: FastifyReply, done: Done): void {
    checkRevocation(claims, error => {
      if (error === undefined) request.user = claims as FastifyRequest['user']
      else if (isUnavailable(error) && allowsUnchecked(request)) goOnUnchecked(request, reply, claims)
      else return done(toRefusal(error))
      done()
    })
  }

  function authenticate (request: FastifyRequest, reply: FastifyReply, done: Done): void {
    let found: ReturnType<typeof find>
    try {
      found = find(request)
    } catch (error) {
      return done(toRefusal(error))
    }
    if (!(found instanceof Promise)) return check(found, request, reply, done)
    found.then(claims => { check(claims, request, reply, done) }, failure => { done(toRefusal(failure)) })
  }

  return ((request: FastifyRequest, reply: FastifyReply, done?: Done) => {
    if (done !== undefined) return authenticate(request, reply, done)
    return new Promise<void>((resolve, reject) => {
      authenticate(request, reply, error => { error === undefined ? resolve() : reject(error) })
    })
  }) as FastifyInstance['authenticate']
}

/**
 * Adds a check of `exp` after the check of the blocklist. A token may expire during the check, and its entry may end at
 * that instant: "not revoked" then means nothing.
 */
export function withExpiry (check: RevocationCheck, leewaySeconds: number): RevocationCheck {
  return (claims, done) => {
    check(claims, error => {
      const isOver = error === undefined && hasExpired(claims as RevocableTokenClaims, leewaySeconds)
      done(isOver ? new SignoutError('token_expired') : error)
    })
  }
}
