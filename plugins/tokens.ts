import type { TokenOrHeader } from '@fastify/jwt'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../src/config.ts'
import { SignoutError } from '../src/errors.ts'
import { createAccessTokens, type AccessTokens } from '../src/tokens/access-tokens.ts'
import { AccessTokenClaims } from '../src/tokens/claims.ts'
import { createFirstUses, type FirstUses } from '../src/tokens/first-uses.ts'
import { createKeyEncryption } from '../src/tokens/key-encryption.ts'
import { createKeyRepository } from '../src/tokens/key-repository.ts'
import { openKeyRing, type KeyRing } from '../src/tokens/key-ring.ts'
import { signingAlgorithm } from '../src/db/public-jwk.ts'
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
  config: Pick<Config, 'tokens'>
}

/** The number of verified tokens that are remembered. Verifying Ed25519 costs more than the rest of a request. */
const maxRememberedTokens = 10_000

/** Issues and checks the service's own access tokens. */
async function tokens (app: FastifyInstance, { config }: TokensOptions): Promise<void> {
  const keyRing = await openKeyRing(createKeyRepository(app.database), createKeyEncryption(app.keyEncryptionSecret))
  app.decorate('keyRing', keyRing)
  app.decorate('accessTokens', createAccessTokens(keyRing, {
    ...config.tokens,
    requireClock: () => { app.clocks.requireAgreement() }
  }))
  const firstUses = createFirstUses(app.database)
  app.decorate('firstUses', firstUses)
  firstUses.start()
  app.addHook('onClose', async () => {
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
    // Called on every request, so it returns at once. The key is a text, because verifiers are not kept for a buffer.
    secret: ((_request: FastifyRequest, token: TokenOrHeader) => {
      const pem = 'header' in token ? keyRing.publicKeyPem(token.header.kid) : undefined
      if (pem === undefined) throw new SignoutError('invalid_token')
      return pem
    }) as JwtOptions['secret'],
    decode: { complete: true },
    verify: {
      algorithms: [signingAlgorithm],
      allowedIss: config.tokens.issuer,
      allowedAud: config.tokens.audience,
      checkTyp: 'at+jwt',
      cache: maxRememberedTokens
    }
  }
}

export default fp(tokens, { name: 'tokens', fastify: '5.x', dependencies: ['metrics', 'database', 'blocklist'] })
