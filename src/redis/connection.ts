import { Redis, type RedisOptions } from 'ioredis'
import { optionsOf } from './topology.ts'

export interface RedisConnectionOptions {
  /** How long one command may take, in milliseconds. */
  deadlineMs: number
  /**
   * A connection that owes an answer and has been silent for this long is given up, and another is made; in
   * milliseconds. Two seconds when it is left out, and not before the deadline.
   */
  silenceMs?: number
  /** Called when the connection is lost, once for each loss, with the reason; it goes on reconnecting by itself. */
  onLost?: (error: Error) => void
  /** Called when the connection is usable again after a loss. */
  onRestored?: () => void
}

const defaultSilenceMs = 2_000
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
 * - Sentinels that are connected and hang: as the server itself.
 *
 * @param server a `redis://` or `rediss://` address, or what ioredis has to know of the server or its sentinels
 */
export function createRedisConnection (server: string | RedisOptions, options: RedisConnectionOptions): Redis {
  const redis = new Redis({
    ...typeof server === 'string' ? optionsOf(server) : server,
    lazyConnect: true,
    commandTimeout: options.deadlineMs,
    socketTimeout: options.silenceMs ?? silenceFor(options.deadlineMs),
    connectTimeout: connectTimeoutMs,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    retryStrategy: retryDelay,
    sentinelCommandTimeout: connectTimeoutMs,
    sentinelRetryStrategy: retryDelay
  })
  let lost = false
  function lose (error: Error): void {
    if (!lost) options.onLost?.(error)
    lost = true
  }
  redis.on('error', (error: Error & { command?: { name: string } }) => {
    lose(toPlainError(error))
    // A database that cannot be selected is no reason for ioredis to stop: it would go on with number 0, in which
    // nothing is revoked.
    if (error.command?.name === 'select') redis.disconnect(true)
  })
  // Not at `close`: that is also how we close it ourselves.
  redis.on('reconnecting', () => { lose(new Error('Redis closed the connection.')) })
  redis.on('ready', () => {
    if (!lost) return
    lost = false
    options.onRestored?.()
  })
  goOnConnecting(redis)
  return redis
}

/**
 * Connects again when ioredis has given up by itself. It does so for good when its failover detector hears of a new
 * primary while it asks the sentinels for the primary.
 */
function goOnConnecting (redis: Redis): void {
  let isClosed = false
  const disconnect = redis.disconnect.bind(redis)
  redis.disconnect = (reconnect = false) => {
    isClosed ||= !reconnect
    disconnect(reconnect)
  }
  redis.on('end', () => {
    if (isClosed) return
    // When it rejects, the connection has ended again.
    setTimeout(() => { if (!isClosed) redis.connect().catch(() => {}) }, retryDelay(1)).unref()
  })
}

/** How long a connection may be silent on which a command may take so long. */
export function silenceFor (deadlineMs: number): number {
  return Math.max(defaultSilenceMs, deadlineMs)
}

/**
 * Bounds the commands of a connection that was made before its deadline was known. It may be silent for as long as one
 * takes.
 */
export function boundCommands (redis: Redis, deadlineMs: number): void {
  redis.options.commandTimeout = deadlineMs
  redis.options.socketTimeout = Math.max(redis.options.socketTimeout ?? defaultSilenceMs, deadlineMs)
}

function retryDelay (attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 10), maxReconnectDelayMs)
}

/**
 * ioredis' errors carry the command with its arguments, the password of AUTH among them, and logs print what errors
 * carry.
 */
export function toPlainError (error: Error): Error {
  return new Error(error.message)
}
