import fastifyJwt, { type FastifyJWTOptions, type JWT } from '@fastify/jwt'
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from 'fastify'
import type { SignoutError } from '../../../src/errors.ts'
import { deepFreeze } from '../../../src/tokens/deep-freeze.ts'
import type { DecoratorNames } from '../decorators.ts'
import { toTokenError } from '../errors.ts'
import { bearerToken } from '../authorization.ts'

/** Options of {@link registerJwt}. */
export interface RegisterOptions {
  jwt: FastifyJWTOptions
  names: DecoratorNames
  /** Called with each token that `extractToken` of the app has found, and the address of the request. */
  onToken: (token: unknown, url: string) => void
  /** Called with each refusal of `request.jwtVerify()` and `request.jwtDecode()`. */
  onRefused: (error: SignoutError, log: FastifyBaseLogger) => void
}

/**
 * Registers @fastify/jwt, with three differences. The token is read from `Authorization` by our parser.
 * `request.jwtVerify()` and `request.jwtDecode()` reject with errors of signout. The claims that `app.jwt.verify`
 * returns are deeply frozen.
 *
 * Returns `app.jwt`. An app that has registered @fastify/jwt too keeps its own: ours has another name then.
 */
export async function registerJwt (app: FastifyInstance, options: RegisterOptions): Promise<JWT> {
  const { jwt: { verify = {}, cookie }, names, onRefused } = options
  // It keeps @fastify/jwt from adding `request.jwtVerify` and `request.jwtDecode`, which are added here.
  const namespace = names.jwt === 'jwt' ? 'signout' : `signout-${names.jwt}`
  const hidden = { jwtVerify: `${namespace}JwtVerify`, jwtDecode: `${namespace}JwtDecode` }
  // Undefined would replace an `extractToken` of the app.
  const extractToken =
    watched(verify.extractToken, options.onToken) ??
    (verify.onlyCookie === true ? undefined : createExtractToken(() => own, cookie !== undefined))
  await app.register(fastifyJwt, {
    ...options.jwt,
    ...hidden,
    jwtSign: names.jwtSign,
    decoratorName: names.user,
    namespace,
    verify: { ...verify, ...(extractToken && { extractToken }) }
  } as FastifyJWTOptions)
  const registered = (app.jwt as unknown as Record<string, JWT>)[namespace] as JWT
  const own: JWT = names.jwt === 'jwt' ? Object.assign(app.jwt, registered) : registered
  freezeWhatIsVerified(own)
  if (names.jwt !== 'jwt') app.decorate(names.jwt, own)
  if (!app.hasRequestDecorator(names.user)) app.decorateRequest(names.user, null)
  for (const name of ['jwtVerify', 'jwtDecode'] as const) {
    const method = withOurErrors(hidden[name], onRefused) as FastifyRequest['jwtVerify']
    app.decorateRequest(names[name] as 'jwtVerify', method)
  }
  return own
}

type ExtractToken = NonNullable<FastifyJWTOptions['verify']>['extractToken']

/** Returns a function of the app that finds the token of a request. It reports each token. */
function watched (extractToken: ExtractToken, onToken: RegisterOptions['onToken']): ExtractToken {
  if (extractToken === undefined || extractToken === null) return undefined
  return request => {
    const token = extractToken(request)
    onToken(token, request.url)
    return token
  }
}

function createExtractToken (jwt: () => JWT, hasCookie: boolean): (request: FastifyRequest) => string {
  return request => {
    try {
      return bearerToken(request)
    } catch (error) {
      if (!hasCookie || (error as SignoutError).code !== 'authorization_required') throw error
      return jwt().lookupToken(request, lookAtCookie)
    }
  }
}

/** For @fastify/jwt: null replaces {@link createExtractToken}, and undefined does not. */
const lookAtCookie = { extractToken: null } as unknown as NonNullable<FastifyJWTOptions['verify']>

interface CallOptions { onlyCookie?: boolean, verify?: { onlyCookie?: boolean } }
type Done = (error: Error | null, result?: unknown) => void
type JwtMethod = (options: CallOptions | undefined, done?: Done) => unknown

/** Returns `request.jwtVerify` or `request.jwtDecode`. It calls the method that @fastify/jwt has under another name. */
function withOurErrors (name: string, onRefused: RegisterOptions['onRefused']) {
  return function (this: FastifyRequest, first?: CallOptions | Done, second?: Done): unknown {
    const [options, done] = typeof first === 'function' ? [undefined, first] : [first, second]
    const method = ((this as unknown as Record<string, JwtMethod>)[name] as JwtMethod).bind(this, whereToLook(options))
    const refuse = (failure: unknown): SignoutError => {
      const error = toTokenError(failure)
      onRefused(error, this.log)
      return error
    }
    if (done !== undefined) return method((error, result) => { error ? done(refuse(error)) : done(null, result) })
    return (method() as Promise<unknown>).catch(error => { throw refuse(error) })
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
