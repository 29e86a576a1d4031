import type { Redis } from 'ioredis'
import { describeUrl } from '../describe-url.ts'
import { StartupError } from '../errors.ts'
import { withDeadline } from './deadline.ts'
import { createRedisConnection, type RedisConnectionOptions } from './redis-connection.ts'

/** How long Redis may take at start, in milliseconds. */
const connectDeadlineMs = 5_000

/**
 * Connects to Redis, as `createRedisConnection` does, and waits until it is connected. `onLost` is told of what is lost later.
 *
 * Throws a {@link StartupError} when there is no Redis there.
 */
export async function connectRedis (url: string, options: RedisConnectionOptions): Promise<Redis> {
  let reason: string | undefined
  let connected = false
  const redis = createRedisConnection(url, {
    ...options,
    onLost: err => {
      reason = err.message
      if (connected) options.onLost?.(err)
    }
  })
  try {
    await withDeadline(redis.connect(), connectDeadlineMs)
    connected = true
    return redis
  } catch (cause) {
    redis.disconnect()
    throw new StartupError(`REDIS_URL: cannot connect to ${describeUrl(url)} (${reason ?? (cause as Error).message}). Start Redis there, or correct the variable.`, { cause })
  }
}
