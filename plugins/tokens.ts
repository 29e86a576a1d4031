import type { TokenOrHeader } from '@fastify/jwt'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../src/config.ts'
import { SignoutError } from '../src/errors.ts'
import { createAccessTokens, type AccessTokens } from '../src/tokens/access-tokens.ts'
import { AccessTokenClaims } from '../src/tokens/claims.ts'
import { createFirstUses, type FirstUses } from '../src/tokens/first-uses.ts'
import { openKeyRing, type KeyRing, type VerifyingKey } from '../src/keys/key-ring.ts'
import { signingAlgorithms } from '../src/db/public-jwk.ts'
import auth, { type JwtOptions } from './auth/auth.ts'

declare module 'fastify' {
  interface FastifyInstance {
    keyRing: KeyRing
    accessTokens: AccessTokens
    firstUses: FirstUses
    /** Throws `forbidden` unless the request was authenticated as an administrator's. */
    requireAdmin (request: FastifyRequest): void
    /** Does as `app.authenticate`. Then throws `forbidden` for a user who is not an administrator. */
    authenticateAdmin (request: FastifyRequest, reply: FastifyReply): Promise<void>
  }
}

declare module '@fastify/jwt' {
  interface FastifyJWT {
    user: AccessTokenClaims
  }
}

export interface TokensOptions {
  config: Pick<Config, 'tokens' | 'keys' | 'sessions'>
}

/** The number of verified tokens that are remembered. Verifying Ed25519 costs more than the rest of a request. */
const maxRememberedTokens = 10_000

/** Issues and checks the service's own access tokens. */
async function tokens (app: FastifyInstance, { config }: TokensOptions): Promise<void> {
  const keyRing = await openKeyRing({
    database: app.database,
    encryption: app.keyEncryption,
    algorithm: config.keys.algorithm,
    tokenLifetimeSeconds: config.tokens.lifetimeSeconds,
    sessionMaxAgeSeconds: config.sessions.maxAgeSeconds,
    jwksMaxAgeSeconds: config.keys.jwksMaxAgeSeconds
  })
  app.decorate('keyRing', keyRing)
  app.readiness.add('signing_key', async () => { keyRing.requireSigningKey() })
  keyRing.start()
  app.decorate('accessTokens', createAccessTokens(keyRing, {
    ...config.tokens,
    requireClock: () => { app.clocks.requireAgreement() }
  }))
  const firstUses = createFirstUses(app.database)
  app.decorate('firstUses', firstUses)
  firstUses.start()
  app.addHook('onClose', async () => {
    keyRing.stop()
    firstUses.stop()
    await firstUses.flush()
  })
  await app.register(auth, {
    blocklist: app.blocklist,
    onVerified: claims => { firstUses.note(claims as AccessTokenClaims) },
    claims: AccessTokenClaims,
    onChecked: app.metrics.checked,
    findClockFault: () => app.clocks.findRecentFault(),
    jwt: jwtOptions(keyRing, config)
  })
  app.decorate('requireAdmin', request => {
    if (!request.user.scope.split(' ').includes('admin')) throw new SignoutError('forbidden')
  })
  app.decorate('authenticateAdmin', async (request, reply) => {
    await app.authenticate(request, reply)
    app.requireAdmin(request)
  })
}

function jwtOptions (keyRing: KeyRing, config: TokensOptions['config']): JwtOptions {
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

const dependencies = ['metrics', 'database', 'blocklist', 'secrets']
export default fp(tokens, { name: 'tokens', fastify: '5.x', dependencies })
