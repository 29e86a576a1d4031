import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../src/config.ts'
import type { RateLimit } from '../src/errors.ts'
import type { Counter, CounterSize } from '../src/limits/counter.ts'
import { createInsuredCounter, type InsuredCounter } from '../src/limits/insured-counter.ts'
import { createLimits, noLimits, type Limits } from '../src/limits/limits.ts'
import { createMemoryCounter } from '../src/limits/memory-counter.ts'
import { createRedisCounter } from '../src/limits/redis-counter.ts'
import { createWaitingRoom } from '../src/limits/waiting-room.ts'
import { openRedis } from '../src/redis/open-redis.ts'
import type { RedisTopology } from '../src/redis/topology.ts'
import { withDeadline } from '../src/timing/deadline.ts'
import { attemptLeaseMs } from '../src/users/password-check.ts'

declare module 'fastify' {
  interface FastifyInstance {
    limits: Limits
  }
}

export interface RateLimitsOptions {
  config: Pick<Config, 'storage' | 'limits' | 'blocklist'>
}

/** The longest wait for Redis at start, in milliseconds. */
const connectDeadlineMs = 1_000
/** The longest delay of an answer by a busy event loop before the connection is closed, in milliseconds. */
const lateLoopMs = 2_000
/**
 * The time after which a broken connection is known to be broken, in milliseconds. If it is still open then, Redis has
 * refused the command.
 */
const givingUpMs = 50
/** The shortest time between two log lines that Redis refuses to count, in milliseconds. */
const repeatAfterMs = 60_000

const alone =
  'Until then this replica counts attempts in its own memory, starting from the counts that Redis answered last.'

/** Adds the limits on guessing. They count in Redis, or in embedded mode in the memory of this process. */
async function rateLimits (app: FastifyInstance, { config }: RateLimitsOptions): Promise<void> {
  if (!config.limits.isOn) {
    app.log.warn(
      'RATE_LIMITS=off: passwords can be guessed as fast as they can be checked. This is for load tests on a closed network; set it to on anywhere else.'
    )
    app.decorate('limits', noLimits)
    return
  }
  const { storage } = config
  app.decorate('limits', createLimits({
    rateOf: name => ({ name, ...config.limits.rates[name] }),
    counterOf:
        storage.kind === 'servers'
          ? await openRedisCounters(app, storage.redis, config.blocklist)
          : rate => createMemoryCounter(sizeOf(rate)),
    room: createWaitingRoom(),
    secret: app.rootSecret
  })
  )
}

function sizeOf ({ attempts, windowSeconds }: RateLimit): CounterSize {
  return { attempts, windowMs: windowSeconds * 1000, leaseMs: attemptLeaseMs }
}

/**
 * Opens counters in Redis, over connections of their own. So thousands of guesses do not delay the look-ups of the
 * blocklist, on which every other request waits. The first command that misses the deadline closes the connection.
 * Attempts are counted in memory until there is another one.
 */
async function openRedisCounters (
  app: FastifyInstance,
  topology: RedisTopology,
  { deadlineMs, prefix }: Config['blocklist']
): Promise<(rate: RateLimit) => Counter> {
  const counters: InsuredCounter[] = []
  const redis = openRedis(topology)
  const { shards, ...connections } = redis.attach({
    // Timers of the connection do not see whether the event loop was late. The deadline of each counter does.
    deadlineMs: deadlineMs + lateLoopMs,
    silenceMs: deadlineMs + lateLoopMs,
    onLost: err => {
      app.outages.failed('redis', err)
      app.log.debug({ err }, `The limits have lost their connection to Redis. ${alone}`)
    },
    onRestored: () => app.log.debug('The limits have their connection to Redis back.')
  })
  for (const { link } of shards) {
    link.onChanged(isReady => { if (isReady) for (const counter of counters) counter.carryOver() })
  }
  app.addHook('onClose', () => { redis.close() })
  // The start does not depend on it, and later attempts to connect follow.
  await withDeadline(connections.connect(), connectDeadlineMs).catch(() => {})
  const isReady = () => shards.every(({ link }) => link.isReady)
  const tellOfRefusal = atMostEvery(repeatAfterMs, () =>
    app.log.warn(`Redis refuses to count attempts: it may be full, read-only, or forbid scripts. ${alone}`)
  )
  return rate => {
    const size = sizeOf(rate)
    const shared = createRedisCounter(size, { shards, prefix: `${prefix}limit:${rate.name}:`, deadlineMs })
    const counter = createInsuredCounter(shared, createMemoryCounter(size), {
      onFailed () { if (isReady()) setTimeout(() => { if (isReady()) tellOfRefusal() }, givingUpMs).unref() }
    })
    counters.push(counter)
    return counter
  }
}

/** Returns a function that does the work at most once in `everyMs` milliseconds. */
function atMostEvery (everyMs: number, work: () => void): () => void {
  let silentUntil = 0
  return () => {
    if (performance.now() < silentUntil) return
    silentUntil = performance.now() + everyMs
    work()
  }
}

export default fp(rateLimits, { name: 'rate-limits', fastify: '5.x', dependencies: ['outages', 'secrets'] })
