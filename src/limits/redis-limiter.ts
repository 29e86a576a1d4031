import { RateLimiterRedis, type RateLimiterRes } from 'rate-limiter-flexible'
import type { RateLimit } from '../errors.ts'
import type { RedisShard } from '../redis/connections.ts'
import { MemoryLimiter } from './memory-limiter.ts'
import { createRedisStore } from './redis-store.ts'

export interface RedisLimiterOptions {
  /** Connections on which every command has a deadline. */
  shards: readonly RedisShard[]
  /** In front of every key. */
  prefix: string
  /** Called when Redis is connected and an attempt had to be counted in memory all the same. */
  onRefused?: () => void
}

/**
 * By when a connection that was too slow has been given up, in milliseconds, and no other has been made yet: one that is
 * still there then is one on which Redis refused the command.
 */
const givingUpMs = 50

/**
 * Adds ARGV[1] to the count of KEYS[1], whose window of ARGV[2] seconds begins with its first attempt; ARGV[3] attempts
 * are let pass. Answers the count and the milliseconds until the window ends.
 *
 * It stands in for the library's script, which counts what it refuses as well, and goes below zero when an attempt is
 * given back after its window: a client could save up attempts for the next one.
 */
const countScript = `
  local change, limit = tonumber(ARGV[1]), tonumber(ARGV[3])
  local count = redis.call('INCRBY', KEYS[1], change)
  if count <= 0 then
    redis.call('DEL', KEYS[1])
    return { 0, 0 }
  end
  local ttl = redis.call('PTTL', KEYS[1])
  if ttl < 0 then
    ttl = 1000 * ARGV[2]
    redis.call('PEXPIRE', KEYS[1], ttl)
  end
  if change > 0 and count > limit then redis.call('DECRBY', KEYS[1], change) end
  return { count, ttl }
`

/**
 * Counts in Redis, so that the limit holds across replicas, and in the memory of this process while Redis is away: the
 * limit is then one for each replica. What was counted in the one is not known to the other.
 */
export function createRedisLimiter (limit: RateLimit, { shards, prefix, onRefused }: RedisLimiterOptions): RateLimiterRedis {
  const store = createRedisStore(shards, countScript)
  const size = { points: limit.attempts, duration: limit.windowSeconds, keyPrefix: `${prefix}limit:${limit.name}` }
  return new RateLimiterRedis({
    ...size,
    storeClient: store,
    insuranceLimiter: new Insurance(size, () => {
      if (!store.isReady) return
      setTimeout(() => { if (store.isReady) onRefused?.() }, givingUpMs).unref()
    })
  })
}

/** Counts in memory, and says when it has to. */
class Insurance extends MemoryLimiter {
  readonly #onAsked: () => void

  constructor (size: { points: number, duration: number }, onAsked: () => void) {
    super(size)
    this.#onAsked = onAsked
  }

  override consume (key: string): Promise<RateLimiterRes> {
    this.#onAsked()
    return super.consume(key)
  }
}
