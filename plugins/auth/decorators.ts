import type { SignOptions } from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import { requireText, shown } from '../../src/input/check-options.ts'
import type { Revoker } from '../../src/revocation/revoker.ts'
import type { RevocableTokenClaims } from '../../src/tokens/claims.ts'
import type { AnyReply, AnyRequest } from './authorization.ts'
import type { RecentAuthenticationHook, RecentAuthenticationOptions, ScopeHook } from './requirements.ts'
import type { LogoutOptions, Revocations } from './revocations.ts'
import type { IssuedClaims } from './tokens/issue-token.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * An `onRequest` hook that authenticates a request. Sets `request.user` to the claims of the access token, deeply
     * frozen.
     *
     * Fails with 401 if something is wrong with the token. Fails with 503 `revocation_unavailable` if the blocklist
     * cannot be read, and with 503 `key_unavailable` if the key function fails. The headers `WWW-Authenticate` and
     * `Retry-After` are set when the error is answered, and not before, because a route may catch the error. After a
     * 503, an answer of 401 that follows from another way to authenticate becomes the 503.
     *
     * Preflights (`OPTIONS` with `Origin` and `Access-Control-Request-Method`) pass: browsers send no token with them.
     *
     * A route with the config `onRevocationUnavailable: 'allow'` goes on while the blocklist cannot be read. The answer
     * then has the header `X-Revocation-Check: unavailable`.
     *
     * @example
     * app.get('/secret', { onRequest: app.authenticate }, async request => request.user)
     */
    authenticate (request: AnyRequest, reply: AnyReply): Promise<void>
    authenticate (request: AnyRequest, reply: AnyReply, done: (error?: Error) => void): void
    /**
     * Checks a token that came without a request, for example over a socket. Returns the claims, deeply frozen, or
     * rejects with the errors of `authenticate`. `app.jwt.verify` does not check the blocklist: it accepts revoked
     * tokens.
     *
     * @example
     * const { sub } = await app.verifyToken(token)
     */
    verifyToken (token: string): Promise<RevocableTokenClaims>
    /**
     * Checks the signature and the claims of a token, and not the blocklist: it accepts revoked tokens. For apps that
     * check the revocation in another way.
     *
     * @example
     * const { jti } = await app.verifySignature(token)
     */
    verifySignature (token: string): Promise<RevocableTokenClaims>
    /**
     * Returns an `onRequest` hook for routes that may hurt the owner of an account. It requires that the user proved
     * the password at most that long ago, by the claim `auth_time` and the leeway. Otherwise it fails with 401
     * `insufficient_user_authentication`, and with `max_age` in `WWW-Authenticate` (RFC 9470). Alone on a route, it
     * does as `app.authenticate` first. Throws a TypeError for a wrong option.
     *
     * @example
     * app.delete('/account', { onRequest: app.requireRecentAuthentication({ maxAgeSeconds: 300 }) }, deleteAccount)
     */
    requireRecentAuthentication (options: RecentAuthenticationOptions): RecentAuthenticationHook
    /**
     * Returns an `onRequest` hook for routes that need a right. It requires every scope of a text, in which a space
     * stands between two. They are searched for in the claim `scope`, or in `scp` if there is no `scope`. Otherwise it
     * fails with 403 `forbidden`, and with the scopes in `WWW-Authenticate` (RFC 6750, section 3.1). Alone on a route,
     * it does as `app.authenticate` first. Throws a TypeError for a text that holds no scopes.
     *
     * @example
     * app.put('/articles/:id', { onRequest: app.requireScope('articles:write') }, saveArticle)
     */
    requireScope (scope: string): ScopeHook
    /**
     * Revokes lists of tokens and sessions.
     *
     * @example
     * await app.revoker.revoke([{ scope: 'session', id: user.sid, expiresAt: user.exp }])
     */
    revoker: Revoker
    /**
     * Revokes a token and its session, without a request: see {@link Revocations}.
     *
     * @example
     * await app.revoke(await app.verifyToken(token))
     */
    revoke: Revocations['revoke']
    /**
     * Revokes every token of a session: see {@link Revocations}.
     *
     * @example
     * await app.revokeSession(session.id, Math.floor(Date.now() / 1000) + 900)
     */
    revokeSession: Revocations['revokeSession']
    /**
     * Revokes every token of a user that was issued until now: see {@link Revocations}.
     *
     * @example
     * await app.revokeSubject(user.id)
     */
    revokeSubject: Revocations['revokeSubject']
    /**
     * Revokes every token of every user that was issued until now: see {@link Revocations}.
     *
     * @example
     * await app.revokeEveryone()
     */
    revokeEveryone: Revocations['revokeEveryone']
    /**
     * Signs a token that can be revoked. Waits until the clock has passed the last `revokeSubject` and the last
     * `revokeEveryone`, so that they do not refuse it. That takes a second at most, or twice the leeway and a second
     * with a blocklist in Redis. `jti` and `sid` are made unless they are given. `iat` is now.
     *
     * Rejects with `revocation_unavailable` when the blocklist cannot tell.
     *
     * @param claims such as `{ sub }`. With a `sub`, the last `revokeSubject` of it is waited for too.
     * @param options of `app.jwt.sign`, such as `{ expiresIn: '15m' }`
     * @example
     * const token = await app.issueToken({ sub: user.id }, { expiresIn: '15m' })
     */
    issueToken (claims: IssuedClaims, options?: Partial<SignOptions>): Promise<string>
  }
  interface FastifyRequest {
    /**
     * Logs out: revokes the token of this request and, if it has a session, every token of the session. Resolves once
     * every replica refuses them. The session is refused for as long as a token of the same lifetime could be valid
     * that was issued until now.
     *
     * Rejects with 401 `authorization_required` if the request was not authenticated. Rejects with 503
     * `revocation_unavailable` when the blocklist does not confirm the revocation within its deadline. Trying again is
     * safe.
     *
     * @example
     * app.post('/logout', { onRequest: app.authenticate }, async request => {
     *   await request.logout()
     *   return 'logged out, on every replica'
     * })
     */
    logout (options?: LogoutOptions): Promise<void>
  }
  interface FastifyContextConfig {
    /**
     * The policy of `app.authenticate` for a valid token on this route while the blocklist is unreachable. `refuse`,
     * the default: 503. `allow`: the request goes on, although the token may have been revoked. The answer then says so
     * in a header.
     *
     * @example
     * app.get('/news', { onRequest: app.authenticate, config: { onRevocationUnavailable: 'allow' } }, showNews)
     */
    onRevocationUnavailable?: 'allow' | 'refuse'
  }
}

const ofApp = [
  'authenticate', 'verifyToken', 'verifySignature', 'requireRecentAuthentication', 'requireScope', 'revoker', 'revoke',
  'revokeSession', 'revokeSubject', 'revokeEveryone', 'issueToken', 'jwt'
] as const
const ofRequest = ['user', 'logout', 'jwtVerify', 'jwtDecode'] as const
const ofReply = ['jwtSign'] as const

/** A decorator that the plugin adds to the app, to a request or to a reply. */
export type DecoratorName = (typeof ofApp | typeof ofRequest | typeof ofReply)[number]

/** The name of each decorator. */
export type DecoratorNames = Record<DecoratorName, string>

const owners: Array<[owner: 'app' | 'request' | 'reply', names: readonly DecoratorName[]]> = [
  ['app', ofApp], ['request', ofRequest], ['reply', ofReply]
]
const all: readonly string[] = [...ofApp, ...ofRequest, ...ofReply]

/**
 * Returns the name of each decorator: the one that the app has chosen, or the default. Throws a TypeError if a name is
 * wrong, or if the app has a decorator of this name already.
 *
 * @param given the names that the app has chosen
 */
export function chooseNames (app: FastifyInstance, given: Partial<DecoratorNames> = {}): DecoratorNames {
  checkNames(given)
  const names = { ...Object.fromEntries(all.map(name => [name, name])), ...given } as DecoratorNames
  for (const [owner, decorators] of owners) {
    const taken = new Set<string>()
    for (const decorator of decorators) {
      const name = names[decorator]
      if (taken.has(name) || exists(app, owner, name)) {
        const other = `signout${decorator[0]?.toUpperCase()}${decorator.slice(1)}`
        throw new TypeError(
          `The decorator ${owner}.${name} exists already: choose another name with the option names: { ${decorator}: '${other}' }.`
        )
      }
      taken.add(name)
    }
  }
  return names
}

function checkNames (given: unknown): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TypeError(
      `The option names is ${shown(given)}; it must be names by decorator, such as { authenticate: 'checkToken' }.`
    )
  }
  for (const [decorator, name] of Object.entries(given)) {
    if (!all.includes(decorator)) {
      throw new TypeError(`The option names.${decorator} is not known; the decorators are ${all.join(', ')}.`)
    }
    requireText(`The option names.${decorator}`, name, 'the name of a decorator')
  }
}

function exists (app: FastifyInstance, owner: 'app' | 'request' | 'reply', name: string): boolean {
  if (owner === 'app') return app.hasDecorator(name)
  return owner === 'request' ? app.hasRequestDecorator(name) : app.hasReplyDecorator(name)
}

/** Adds decorators to an app, under the names that it has chosen. */
export function decorateWith (
  app: FastifyInstance, names: DecoratorNames, decorators: Pick<FastifyInstance, Exclude<typeof ofApp[number], 'jwt'>>
): void {
  for (const [decorator, value] of Object.entries(decorators)) {
    // Of any decorator, for the types.
    app.decorate(names[decorator as 'revoke'] as 'revoke', value as typeof decorators['revoke'])
  }
}
