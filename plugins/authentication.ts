import type { TokenOrHeader } from '@fastify/jwt'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../src/config.ts'
import { signingAlgorithms } from '../src/db/public-jwk.ts'
import { SignoutError } from '../src/errors.ts'
import type { KeyRing, VerifyingKey } from '../src/keys/key-ring.ts'
import { createRevoker } from '../src/revocation/revoker.ts'
import { AccessTokenClaims } from '../src/tokens/access-token-claims.ts'
import { leewayOf } from '../src/revocation/blocklist.ts'
import { requireOfToken, requireScopes, type TokenRequirements } from '../src/tokens/requirements.ts'
import auth, { type JwtOptions } from './auth/auth.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Throws `forbidden` unless the request was authenticated as an administrator's. */
    requireAdmin (request: FastifyRequest): void
    /**
     * Throws unless the token of an authenticated request meets the requirements: `forbidden` or
     * `insufficient_user_authentication`.
     */
    requireOfToken (request: FastifyRequest, requirements: TokenRequirements): void
    /** Does as `app.authenticate`. Then throws `forbidden` for a user who is not an administrator. */
    authenticateAdmin (request: FastifyRequest, reply: FastifyReply): Promise<void>
  }
}

declare module '@fastify/jwt' {
  interface FastifyJWT {
    user: AccessTokenClaims
  }
}

export interface AuthenticationOptions {
  config: Pick<Config, 'tokens'>
}

/** The scopes that the administration requires. */
const adminScopes = ['admin']
/** The number of verified tokens that are remembered. Verifying Ed25519 costs more than the rest of a request. */
const maxRememberedTokens = 10_000

/** Authenticates requests by the service's own access tokens, with the plugin that other apps install. */
async function authentication (app: FastifyInstance, { config }: AuthenticationOptions): Promise<void> {
  // That of the plugin revokes no keys.
  app.decorate('revoker', createRevoker(app.blocklist))
  await app.register(auth, {
    blocklist: app.blocklist,
    names: { revoker: 'tokenRevoker' },
    onVerified: claims => { app.firstUses.note(claims as AccessTokenClaims) },
    claims: AccessTokenClaims,
    onChecked: app.metrics.checked,
    findClockFault: () => app.clocks.findRecentFault(),
    jwt: jwtOptions(app.keyRing, config)
  })
  app.decorate('requireAdmin', request => {
    requireScopes(request.user, adminScopes)
  })
  const leewaySeconds = leewayOf(app.blocklist)
  app.decorate('requireOfToken', (request, requirements) => {
    requireOfToken(request.user, requirements, leewaySeconds, Date.now())
  })
  app.decorate('authenticateAdmin', async (request, reply) => {
    await app.authenticate(request, reply)
    app.requireAdmin(request)
  })
}

function jwtOptions (keyRing: KeyRing, config: AuthenticationOptions['config']): JwtOptions {
  return {
    // Called on every request, so it returns at once for a known key. The key is a text, because verifiers are not kept
    // for a buffer.
    secret: ((_request: FastifyRequest, token: TokenOrHeader) => {
      const { kid, alg } = 'header' in token ? token.header : token
      const found = keyRing.find(kid)
      return found instanceof Promise ? found.then(key => pemFor(key, alg)) : pemFor(found, alg)
    }) as JwtOptions['secret'],
    decode: { complete: true },
    verify: {
      algorithms: [...signingAlgorithms],
      allowedIss: config.tokens.issuer,
      allowedAud: config.tokens.audience,
      checkTyp: 'at+jwt',
      cache: maxRememberedTokens
    }
  }
}

/** Returns the key as PEM. Throws `invalid_token` unless it is for the algorithm of the token. */
function pemFor (key: VerifyingKey | undefined, algorithm: string): string {
  if (key?.algorithm !== algorithm) throw new SignoutError('invalid_token')
  return key.pem
}

const dependencies = ['metrics', 'blocklist', 'tokens']
export default fp(authentication, { name: 'authentication', fastify: '5.x', dependencies })
