import type { Redis, RedisOptions } from 'ioredis'
import { refuseUnknown, requireFunctions, requireNumber, shown } from '../input/check-options.ts'
import { createRedisConnection as connect, describeServer, type RedisConnectionOptions } from './connection.ts'

/** Options of {@link createRedisConnection}. */
export type PublicConnectionOptions = Omit<RedisConnectionOptions, 'deadlineMs' | 'isBoundElsewhere'>

/**
 * The deadline of a command, in milliseconds, until a blocklist takes over the connection and sets its own. A process
 * that starts on a busy machine reads answers late.
 */
const deadlineBeforeMs = 2_000
const maxSilenceMs = 600_000

/**
 * Creates an ioredis client for `createRedisBlocklist`. It does not connect yet. It never queues a command, and never
 * sends one twice. The deadline of its commands is set at the blocklist (`deadlineMs`).
 *
 * `connect()` of the client rejects with the server and the reason when Redis cannot be used. The client goes on
 * connecting. Throws a TypeError that says what is wrong with an argument.
 *
 * @param server a `redis://` or `rediss://` address, or the options of ioredis for the server or its sentinels
 *
 * @example
 * const redis = createRedisConnection('redis://127.0.0.1:6379', { onLost: error => log.warn(error) })
 * await redis.connect()
 */
export function createRedisConnection (server: string | RedisOptions, options: PublicConnectionOptions = {}): Redis {
  const isServer = (typeof server === 'string' && server !== '') || (typeof server === 'object' && server !== null)
  if (!isServer) {
    throw new TypeError(
      `server is ${shown(server)}; it must be an address such as redis://127.0.0.1:6379, or options of ioredis.`
    )
  }
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`options is ${shown(options)}; it must be an object.`)
  }
  if ('deadlineMs' in options) {
    throw new TypeError('deadlineMs is given to the blocklist: createRedisBlocklist({ redis, prefix, deadlineMs }).')
  }
  refuseUnknown(options, ['silenceMs', 'onLost', 'onRestored'])
  if (options.silenceMs !== undefined) requireNumber('silenceMs', options.silenceMs, 'milliseconds', 1, maxSilenceMs)
  requireFunctions(options, ['onLost', 'onRestored'])
  const redis = connect(server, { ...options, deadlineMs: deadlineBeforeMs })
  nameServer(redis)
  return redis
}

/** Makes the error of `connect()` name the server. */
function nameServer (redis: Redis): void {
  const connect = redis.connect.bind(redis)
  redis.connect = async () => {
    try {
      await connect()
    } catch (cause) {
      throw new Error(`Cannot connect to Redis at ${describeServer(redis.options)}: ${(cause as Error).message}.`, {
        cause
      })
    }
  }
}
