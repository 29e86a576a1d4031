import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../src/config.ts'
import { createAccessTokens, type AccessTokens } from '../src/tokens/access-tokens.ts'
import { createFirstUses, type FirstUses } from '../src/tokens/first-uses.ts'
import { openKeyRing, type KeyRing } from '../src/keys/key-ring.ts'

declare module 'fastify' {
  interface FastifyInstance {
    keyRing: KeyRing
    accessTokens: AccessTokens
    firstUses: FirstUses
  }
}

export interface TokensOptions {
  config: Pick<Config, 'tokens' | 'keys' | 'sessions'>
}

/** Issues the service's own access tokens. */
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
}

const dependencies = ['metrics', 'database', 'blocklist', 'secrets']
export default fp(tokens, { name: 'tokens', fastify: '5.x', dependencies })
