import type { Redis, RedisOptions } from 'ioredis'
import { requireFunctions, requireNumber, shown } from '../input/check-options.ts'
import { createRedisConnection as connect, type RedisConnectionOptions } from './connection.ts'

/** Options of {@link createRedisConnection}. */
export type PublicConnectionOptions = Omit<RedisConnectionOptions, 'deadlineMs'>

/** Until a blocklist takes the connection over, and bounds its commands by a deadline of its own, in milliseconds. */
const deadlineBeforeMs = 250
const maxSilenceMs = 600_000

/**
 * Makes an ioredis client for `createRedisBlocklist`, which has still to connect. It never queues commands, and sends
 * none twice. How long a command may take is said once, at the blocklist (`deadlineMs`).
 *
 * Throws a TypeError that says what is wrong with an argument.
 *
 * @param server a `redis://` or `rediss://` address, or what ioredis has to know of the server or its sentinels
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
  if (options.silenceMs !== undefined) requireNumber('silenceMs', options.silenceMs, 'milliseconds', 1, maxSilenceMs)
  requireFunctions(options, ['onLost', 'onRestored'])
  return connect(server, { ...options, deadlineMs: deadlineBeforeMs })
}
