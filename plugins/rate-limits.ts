import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { RateLimiterAbstract } from 'rate-limiter-flexible'
import type { Config } from '../src/config.ts'
import type { RateLimit } from '../src/errors.ts'
import { createCounter } from '../src/limits/counter.ts'
import { createLimits, noLimits, type Limits } from '../src/limits/limits.ts'
import { MemoryLimiter } from '../src/limits/memory-limiter.ts'
import { readRate, type RateSettings } from '../src/limits/rates.ts'
import { createRedisLimiter } from '../src/limits/redis-limiter.ts'
import { openRedis } from '../src/redis/open-redis.ts'
import type { RedisTopology } from '../src/redis/topology.ts'
import { withDeadline } from '../src/revocation/deadline.ts'

declare module 'fastify' {
  interface FastifyInstance {
    limits: Limits
  }
}

export interface RateLimitsOptions {
  config: RateSettings & Pick<Config, 'storage' | 'RATE_LIMITS' | 'BLOCKLIST_DEADLINE_MS' | 'BLOCKLIST_PREFIX'>
}

/** How long Redis may take at start, in milliseconds. */
const connectDeadlineMs = 1_000
/** How often the log repeats that Redis refuses to count, in milliseconds. */
const repeatAfterMs = 60_000

const alone = 'Attempts are counted in the memory of this replica meanwhile, apart from those at other replicas.'

/** Limits on guessing, counted in Redis or, in the embedded mode, in the memory of this process. */
async function rateLimits (app: FastifyInstance, { config }: RateLimitsOptions): Promise<void> {
  if (config.RATE_LIMITS === 'off') {
    app.log.warn('RATE_LIMITS=off: passwords can be guessed as fast as they can be checked. This is for load tests on a closed network; set it to on anywhere else.')
    app.decorate('limits', noLimits)
    return
  }
  const { storage } = config
  const limiterOf = storage.kind === 'servers'
    ? await openRedisLimiters(app, storage.redis, config)
    : ({ attempts, windowSeconds }: RateLimit) => new MemoryLimiter({ points: attempts, duration: windowSeconds })
  app.decorate('limits', createLimits({
    counterOf: name => {
      const limit = readRate(config, name)
      return createCounter(limit, limiterOf(limit))
    },
    secret: app.keyEncryptionSecret
  }))
}

/**
 * The limits have a connection of their own: guesses that come in by the thousand do not stand in front of the blocklist's
 * look-ups, on which every other request waits. It is given up by the first command that goes unanswered, since there is
 * another way to count: only those attempts wait that were made until then.
 */
async function openRedisLimiters (app: FastifyInstance, topology: RedisTopology, config: RateLimitsOptions['config']): Promise<(limit: RateLimit) => RateLimiterAbstract> {
  const redis = openRedis(topology)
  const connections = redis.attach({
    deadlineMs: config.BLOCKLIST_DEADLINE_MS,
    silenceMs: config.BLOCKLIST_DEADLINE_MS,
    onLost: err => app.log.warn({ err }, `The limits have lost their connection to Redis. ${alone}`),
    onRestored: () => app.log.info('The limits have their connection to Redis back.')
  })
  app.addHook('onClose', () => { redis.close() })
  // Nothing depends on whether it succeeds: it goes on trying.
  await withDeadline(connections.connect(), connectDeadlineMs).catch(() => {})
  let silentUntil = 0
  function onRefused (): void {
    if (performance.now() < silentUntil) return
    silentUntil = performance.now() + repeatAfterMs
    app.log.warn(`Redis refuses to count attempts: it may be full, read-only, or forbid scripts. ${alone}`)
  }
  return limit => createRedisLimiter(limit, { shards: connections.shards, prefix: config.BLOCKLIST_PREFIX, onRefused })
}

export default fp(rateLimits, { name: 'rate-limits', fastify: '5.x', dependencies: ['database'] })
