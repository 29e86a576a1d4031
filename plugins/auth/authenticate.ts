import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { SignoutError } from '../../src/errors.ts'
import type { RevocationCheck } from '../../src/revocation/revocation-check.ts'
import { ClaimError } from '../../src/tokens/claim-mistakes.ts'
import { hasExpired, type RevocableTokenClaims } from '../../src/tokens/claims.ts'
import { plainBearer } from './authorization.ts'
import { isPreflight, isUnavailable, keepUnavailable } from './errors.ts'
import { allowsUnchecked, markUnchecked } from './revocation-policy.ts'
import type { Verification } from './tokens/verification.ts'

export interface AuthenticateOptions {
  verification: Verification
  /** True if `Authorization` alone decides which token a request has, if it has a bearer token there. */
  headerDecides: boolean
  /** The property of the request that gets the claims. */
  userProperty: string
  /** A second property that gets the claims, which no app changes. */
  claimsProperty: symbol
  /** Reads the token from the place that the app has chosen. Throws if there is none. */
  readToken: (request: FastifyRequest) => string
  checkRevocation: RevocationCheck
  /** Returns the error of signout for an error that was thrown. */
  toRefusal: (failure: unknown, request: FastifyRequest) => SignoutError
}

type Done = (error?: Error) => void

/**
 * Creates `app.authenticate`: a hook that calls back if it gets a callback, as from Fastify, and otherwise returns a
 * promise. It finds the claims of the token, then checks the blocklist. A remembered token needs no promise on the way.
 */
export function createAuthenticate (options: AuthenticateOptions): FastifyInstance['authenticate'] {
  const { verification: { recall, findClaims }, headerDecides, readToken, checkRevocation, toRefusal } = options
  const userProperty = options.userProperty as 'user'
  const claimsProperty = options.claimsProperty as unknown as 'claims'

  function find (request: FastifyRequest): ReturnType<Verification['findClaims']> {
    const text = headerDecides ? plainBearer(request) : undefined
    const known = text === undefined ? undefined : recall(text, request)
    return known ?? findClaims(readToken(request), request)
  }

  function check (claims: RevocableTokenClaims, request: FastifyRequest, reply: FastifyReply, done: Done): void {
    checkRevocation(claims, error => {
      if (error !== undefined) {
        if (!isUnavailable(error) || !allowsUnchecked(request)) return refuse(error, request, reply, done)
        markUnchecked(reply)
      }
      request[userProperty] = claims as FastifyRequest['user']
      ;(request as unknown as { claims: RevocableTokenClaims })[claimsProperty] = claims
      done()
    })
  }

  function refuse (failure: unknown, request: FastifyRequest, reply: FastifyReply, done: Done): void {
    const error = toRefusal(failure, request)
    keepUnavailable(reply, error)
    done(error)
  }

  function authenticate (request: FastifyRequest, reply: FastifyReply, done: Done): void {
    if (isPreflight(request)) return done()
    let found: ReturnType<typeof find>
    try {
      found = find(request)
    } catch (error) {
      return refuse(error, request, reply, done)
    }
    if (!(found instanceof Promise)) return check(found, request, reply, done)
    found.then(claims => { check(claims, request, reply, done) }, failure => { refuse(failure, request, reply, done) })
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
      if (error === undefined && hasExpired(claims as RevocableTokenClaims, leewaySeconds)) {
        return done(new SignoutError('token_expired', { cause: new ClaimError('The token expired during its check.') }))
      }
      done(error)
    })
  }
}
