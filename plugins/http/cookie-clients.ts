import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Static } from 'typebox'
import type { Config } from '../../src/config.ts'
import { SignoutError } from '../../src/errors.ts'
import { toCookieClientsPair, toTokenPair, type TokenPair } from '../../src/schemas/schemas.ts'
import type { TokenPair as IssuedPair } from '../../src/sessions/token-pair.ts'
import { readRefreshCookies, writeRefreshCookie } from './refresh-cookie.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * A hook for routes that read or issue a refresh token. It tells cookie clients from bearer clients, and throws
     * `origin_not_allowed` if a cookie client's request comes from a page that may not use the cookie. Nothing has
     * happened by then.
     */
    admitClient (request: FastifyRequest): Promise<void>
    /**
     * Returns a hook before the validation. It puts the refresh token of a cookie client into the body, in place of one
     * that came there.
     *
     * @param isRequired true to throw `authorization_required` if there is no cookie
     */
    takeRefreshCookie (options: { isRequired: boolean }): (request: FastifyRequest) => Promise<void>
    /** Returns the answer with a pair. For a cookie client, the refresh token is in the cookie, not in the answer. */
    issuePair (pair: IssuedPair, request: FastifyRequest, reply: FastifyReply): Static<typeof TokenPair>
    /** Deletes the cookie of a cookie client, whose session has ended. */
    deleteRefreshCookie (request: FastifyRequest, reply: FastifyReply): void
  }

  interface FastifyRequest {
    /** True if the refresh token of the client travels in a cookie alone. Set by `app.admitClient`. */
    isOfCookieClient: boolean
  }
}

export interface CookieClientsOptions {
  config: Pick<Config, 'browsers' | 'tokens'>
}

/** A request with this header is a cookie client's. Browsers send it to another origin only after a preflight. */
const clientHeader = 'x-signout-csrf'

/** Keeps the refresh tokens of cookie clients in a cookie that no script can read. */
async function cookieClients (app: FastifyInstance, { config }: CookieClientsOptions): Promise<void> {
  const { browsers: { hasCookies, corsOrigins }, tokens: { issuer } } = config
  const origins = new Set([new URL(issuer).origin, ...corsOrigins])

  app.decorateRequest('isOfCookieClient', false)
  app.decorate('admitClient', async request => {
    const { [clientHeader]: value } = request.headers
    if (value === undefined) return
    if (!hasCookies) throw invalid('Cookie mode is off. Send no X-Signout-CSRF, or set COOKIES=on at the service.')
    if (value !== '1') throw invalid('X-Signout-CSRF must be 1.')
    refuseForeignPage(request, origins)
    request.isOfCookieClient = true
  })
  app.decorate('takeRefreshCookie', ({ isRequired }) => async request => {
    if (!request.isOfCookieClient) return
    const isNeeded = isRequired || request.headers.authorization === undefined
    const [refreshToken, ...others] = readRefreshCookies(request.headers.cookie)
    // No browser sends two. A logout with an access token succeeds without any.
    if (others.length > 0 && isNeeded) throw invalid('The request has the refresh cookie more than once.')
    if (refreshToken === undefined && isRequired) throw signedOut()
    request.body = withRefreshToken(request.body, others.length > 0 ? undefined : refreshToken)
  })
  app.decorate('issuePair', (pair, { isOfCookieClient }, reply) => {
    if (!isOfCookieClient) return toTokenPair(pair)
    reply.header('set-cookie', writeRefreshCookie(pair.refreshToken, pair.refreshExpiresInSeconds))
    return toCookieClientsPair(pair)
  })
  app.decorate('deleteRefreshCookie', ({ isOfCookieClient }, reply) => {
    if (isOfCookieClient) reply.header('set-cookie', writeRefreshCookie('', 0))
  })
}

/**
 * Throws `origin_not_allowed` if a browser says that the request is of a page of another origin than ours and those of
 * CORS_ORIGINS, or of another site. Programs send neither header.
 */
function refuseForeignPage ({ headers }: FastifyRequest, origins: ReadonlySet<string>): void {
  const { origin, 'sec-fetch-site': site } = headers
  if (origin !== undefined && !origins.has(origin)) throw new SignoutError('origin_not_allowed')
  if (site === undefined || site === 'same-origin' || (site === 'same-site' && origin !== undefined)) return
  throw new SignoutError('origin_not_allowed', {
    description: 'The page is on another site, where browsers send no cookie. Serve it from the site of the service.'
  })
}

/** Returns a body with this refresh token alone. A body that is no object stays as it is, and is refused. */
function withRefreshToken (body: unknown, refreshToken: string | undefined): unknown {
  if (typeof (body ?? {}) !== 'object' || Array.isArray(body)) return body
  const { refresh_token: _, ...others } = (body ?? {}) as { refresh_token?: unknown }
  return refreshToken === undefined ? others : { ...others, refresh_token: refreshToken }
}

function invalid (description: string): SignoutError {
  return new SignoutError('invalid_request', { description })
}

function signedOut (): SignoutError {
  return new SignoutError('authorization_required', {
    description: 'The request has no refresh cookie, so the user is not signed in.'
  })
}

export default fp(cookieClients, { name: 'cookie-clients', fastify: '5.x' })
