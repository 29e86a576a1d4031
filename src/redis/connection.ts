import { Redis, type RedisOptions } from 'ioredis'
import { formatAddress, optionsOf } from './topology.ts'

export interface RedisConnectionOptions {
  /** The longest time for one command, in milliseconds. */
  deadlineMs: number
  /**
   * True if the caller bounds each command. ioredis then sets no timer, and its promise settles only when the command
   * is answered or its connection closed. So the caller can count the commands that wait.
   */
  isBoundElsewhere?: boolean | undefined
  /**
   * The longest silence of a connection that owes an answer, in milliseconds. After that it is closed, and another one
   * is opened. Defaults to 2,000, or to the deadline if that is longer.
   */
  silenceMs?: number
  /** Called once for each loss of the connection, with the reason. The client reconnects automatically. */
  onLost?: (error: Error) => void
  /** Called when the connection is usable again after a loss. */
  onRestored?: () => void
}

const defaultSilenceMs = 2_000
const connectTimeoutMs = 1_000
const maxReconnectDelayMs = 1_000

/**
 * Creates an ioredis client on which no command outlives its deadline. It does not connect yet.
 *
 * - A server that is connected and stalled: only `commandTimeout` bounds a command there.
 * - A server that is not connected: with the offline queue off, a command fails at once instead of waiting.
 * - A connection that broke with commands in flight: they fail, and are not sent again on the next connection. There
 *   they would be executed long after their callers were answered.
 * - A network that drops packets, where TCP would hold the connection for minutes: `socketTimeout` destroys it.
 * - Sentinels that are connected and stalled: `sentinelCommandTimeout` bounds a command there.
 *
 * @param server a `redis://` or `rediss://` address, or the options of ioredis for the server or its sentinels
 */
export function createRedisConnection (server: string | RedisOptions, options: RedisConnectionOptions): Redis {
  const redis = new Redis({
    ...typeof server === 'string' ? optionsOf(server) : server,
    lazyConnect: true,
    ...options.isBoundElsewhere !== true && { commandTimeout: options.deadlineMs },
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
    // ioredis must not go on when it cannot select a database: it would use number 0, in which nothing is revoked.
    if (error.command?.name === 'select') redis.disconnect(true)
  })
  // `close` is also emitted when we close the connection. Before the listeners of the link, which end the trust: the
  // log then has the loss first, and the rest as its consequence.
  redis.on('close', () => {
    if (redis.status === 'reconnecting') lose(new Error('Redis closed the connection.'))
  })
  redis.on('ready', () => {
    if (!lost) return
    lost = false
    options.onRestored?.()
  })
  goOnConnecting(redis)
  sayWhyNotConnected(redis)
  ours.add(redis)
  return redis
}

/** The clients that {@link createRedisConnection} has created. */
const ours = new WeakSet<object>()

/** Returns true for a client that {@link createRedisConnection} has created. */
export function isOurConnection (client: object): client is Redis {
  return ours.has(client)
}

/** Makes `connect()` reject with the reason. ioredis emits the reason, and rejects with "Connection is closed." */
function sayWhyNotConnected (redis: Redis): void {
  const connect = redis.connect.bind(redis)
  redis.connect = async () => {
    let reason: Error | undefined
    const note = (error: Error) => { reason ??= toPlainError(error) }
    redis.on('error', note)
    try {
      await connect()
    } catch (error) {
      throw reason ?? toPlainError(error as Error)
    } finally {
      redis.off('error', note)
    }
  }
}

/**
 * Reconnects when ioredis has given up for good. That happens when its failover detector hears of a new primary while
 * ioredis asks the sentinels for the primary.
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
    // If it rejects, `end` is emitted again.
    setTimeout(() => { if (!isClosed) redis.connect().catch(() => {}) }, retryDelay(1)).unref()
  })
}

/** Returns the longest silence, in milliseconds, of a connection whose commands have this deadline. */
export function silenceFor (deadlineMs: number): number {
  return Math.max(defaultSilenceMs, deadlineMs)
}

/**
 * Sets the deadline of a connection that was created before its deadline was known. Its longest silence is at least
 * that deadline.
 *
 * @param isBoundElsewhere see {@link RedisConnectionOptions.isBoundElsewhere}
 */
export function boundCommands (redis: Redis, deadlineMs: number, isBoundElsewhere = false): void {
  redis.options.commandTimeout = isBoundElsewhere ? undefined : deadlineMs
  redis.options.socketTimeout = Math.max(redis.options.socketTimeout ?? defaultSilenceMs, deadlineMs)
}

function retryDelay (attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 10), maxReconnectDelayMs)
}

/**
 * Returns an error with the message alone. Errors of ioredis carry the command with its arguments, such as the password
 * of AUTH, and logs print that.
 */
export function toPlainError (error: Error): Error {
  // A host with several addresses gives an AggregateError, whose message is empty.
  const [first] = error instanceof AggregateError ? error.errors as Error[] : []
  return new Error(error.message || first?.message || error.name)
}

/** Returns the address of a server or of its sentinels, for people, without users and passwords. */
export function describeServer ({ host, port, path, sentinels, name }: RedisOptions): string {
  if (!sentinels) return path ?? formatAddress({ host: host ?? 'localhost', port: port ?? 6379 })
  return `${sentinels.map(({ host = 'localhost', port = 26379 }) => formatAddress({ host, port })).join()} (${name})`
}
