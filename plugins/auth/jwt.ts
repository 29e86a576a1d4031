import fastifyJwt, { type FastifyJWTOptions, type JWT } from '@fastify/jwt'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { SignoutError } from '../../src/errors.ts'
import { deepFreeze } from '../../src/tokens/deep-freeze.ts'
import { toTokenError } from './errors.ts'
import { bearerToken } from './authorization.ts'

/**
 * The namespace that keeps @fastify/jwt from adding `request.jwtVerify` and `request.jwtDecode`, which
 * {@link registerJwt} adds.
 */
const namespace = 'signout'
const names = { jwtVerify: 'signoutJwtVerify', jwtDecode: 'signoutJwtDecode', jwtSign: 'jwtSign' } as const

/**
 * Registers @fastify/jwt, with three differences. The token is read from `Authorization` by our parser.
 * `request.jwtVerify()` and `request.jwtDecode()` reject with errors of signout. The claims that `app.jwt.verify`
 * returns are deeply frozen.
 */
export async function registerJwt (app: FastifyInstance, options: FastifyJWTOptions): Promise<void> {
  const { verify = {}, cookie } = options
  // Undefined would replace an `extractToken` of the app.
  const extractToken =
    verify.extractToken ?? (verify.onlyCookie === true ? undefined : createExtractToken(app, cookie !== undefined))
  await app.register(fastifyJwt, {
    ...options,
    ...names,
    namespace,
    verify: { ...verify, ...(extractToken && { extractToken }) }
  } as FastifyJWTOptions)
  Object.assign(app.jwt, (app.jwt as unknown as Record<string, JWT>)[namespace])
  freezeWhatIsVerified(app.jwt)
  app.decorateRequest('jwtVerify', withOurErrors(names.jwtVerify) as FastifyRequest['jwtVerify'])
  app.decorateRequest('jwtDecode', withOurErrors(names.jwtDecode) as FastifyRequest['jwtDecode'])
}

function createExtractToken (app: FastifyInstance, hasCookie: boolean): (request: FastifyRequest) => string {
  return request => {
    try {
      return bearerToken(request)
    } catch (error) {
      if (!hasCookie || (error as SignoutError).code !== 'authorization_required') throw error
      return app.jwt.lookupToken(request, lookAtCookie)
    }
  }
}

/** For @fastify/jwt: null replaces {@link createExtractToken}, and undefined does not. */
const lookAtCookie = { extractToken: null } as unknown as NonNullable<FastifyJWTOptions['verify']>

interface CallOptions { onlyCookie?: boolean, verify?: { onlyCookie?: boolean } }
type Done = (error: Error | null, result?: unknown) => void
type JwtMethod = (options: CallOptions | undefined, done?: Done) => unknown

/** Returns `request.jwtVerify` or `request.jwtDecode`. It calls the method that @fastify/jwt has under another name. */
function withOurErrors (name: string) {
  return function (this: FastifyRequest, first?: CallOptions | Done, second?: Done): unknown {
    const [options, done] = typeof first === 'function' ? [undefined, first] : [first, second]
    const method = ((this as unknown as Record<string, JwtMethod>)[name] as JwtMethod).bind(this, whereToLook(options))
    if (done !== undefined) return method((error, result) => { error ? done(toTokenError(error)) : done(null, result) })
    return (method() as Promise<unknown>).catch(error => { throw toTokenError(error) })
  }
}

/** Returns the options for @fastify/jwt. A call may ask for the cookie alone, in either of two forms. */
function whereToLook (options: CallOptions | undefined): CallOptions | undefined {
  if (options?.onlyCookie === true) return { ...options, ...lookAtCookie }
  if (options?.verify?.onlyCookie === true) return { ...options, verify: { ...options.verify, ...lookAtCookie } }
  return options
}

/** Freezes the claims that `jwt.verify` returns. The cache of @fastify/jwt returns one object again and again. */
function freezeWhatIsVerified (jwt: JWT): void {
  const verify = jwt.verify as (...args: unknown[]) => unknown
  jwt.verify = ((...args: unknown[]) => {
    const done = args.at(-1)
    if (typeof done !== 'function') return frozen(verify(...args))
    return verify(...args.slice(0, -1), (error: unknown, claims: unknown) => { done(error, frozen(claims)) })
  }) as JWT['verify']
}

function frozen<T> (value: T): T {
  deepFreeze(value)
  return value
}
