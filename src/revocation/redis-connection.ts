import { Redis } from 'ioredis'

export interface RedisConnectionOptions {
  /** How long one command may take, in milliseconds. */
  deadlineMs: number
  /** Called when the connection is lost, once for each loss, with the reason; it goes on reconnecting by itself. */
  onLost?: (error: Error) => void
  /** Called when the connection is usable again after a loss. */
  onRestored?: () => void
}

/** A connection that owes an answer and has been silent for this long is given up, and another is made. */
const silenceMs = 2_000
const connectTimeoutMs = 1_000
const maxReconnectDelayMs = 1_000

/**
 * An ioredis client on which no command outlives its deadline, whatever the server does.
 *
 * - A server that is connected and hangs: only `commandTimeout` bounds a command there.
 * - A server that is not connected: with the offline queue off, a command fails at once instead of waiting.
 * - A connection that broke with commands in flight: they fail, and are not sent again on the next connection,
 *   where they would be executed long after their callers were answered.
 * - A black hole, in which TCP would hold the connection for minutes: `socketTimeout` destroys it.
 *
 * @param url `redis://` or `rediss://`
 */
export function createRedisConnection (url: string, options: RedisConnectionOptions): Redis {
  const redis = new Redis(url, {
    lazyConnect: true,
    commandTimeout: options.deadlineMs,
    socketTimeout: silenceMs,
    connectTimeout: connectTimeoutMs,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    retryStrategy: attempt => Math.min(50 * 2 ** Math.min(attempt, 10), maxReconnectDelayMs)
  })
  let lost = false
  redis.on('error', error => {
    if (lost) return
    lost = true
    options.onLost?.(error)
  })
  redis.on('ready', () => {
    if (!lost) return
    lost = false
    options.onRestored?.()
  })
  return redis
}
