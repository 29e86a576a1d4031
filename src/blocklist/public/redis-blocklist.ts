import { requireFunctions, shown } from '../../input/check-options.ts'
import { checkClient, type IoredisClient } from '../../redis/public-client.ts'
import { readSettings, type BlocklistSettings } from '../../revocation/blocklist.ts'
import type { RedisBlocklist } from '../../revocation/redis-blocklist.ts'
import { openConnections } from './connect.ts'
import { openWithCutOff } from './with-cut-off.ts'

export interface PublicBlocklistOptions extends BlocklistSettings {
  /**
   * The Redis: a connection made by `createRedisConnection`, or a client of ioredis 5 or 6, alone, behind Sentinel, or
   * of a cluster.
   *
   * A connection made by `createRedisConnection` belongs to the blocklist, which closes it. A client of your own says
   * only where Redis is. The blocklist opens connections with bounds of their own, and closes only those.
   */
  redis: IoredisClient
  /** The text in front of every key, so that several applications can share one Redis. */
  prefix: string
  /**
   * True if you have made sure that Redis evicts no keys, although it does not tell its `maxmemory-policy`. If it does
   * evict keys, revoked tokens may be accepted. Defaults to false: no token is accepted then. It does not help against a
   * policy that Redis does tell.
   */
  noevictionAcknowledged?: boolean
  /** Called with an instant, in seconds since the epoch. Tokens that were issued before it are refused from now on. */
  onCutOff?: (issuedBefore: number) => void
}

/** The options of a blocklist, with their defaults. */
export type CheckedOptions = Omit<PublicBlocklistOptions, keyof BlocklistSettings> & ReturnType<typeof readSettings>

/**
 * Creates a blocklist in Redis, shared by every replica that uses the same Redis and prefix.
 *
 * Without a record, Redis may lose revocations for good. All tokens that were issued before are refused then: see
 * `onCutOff`. Call `ready()` before the app listens: it rejects while Redis cannot hold revocations, with the reason.
 *
 * Throws a TypeError that says what is wrong with the options.
 *
 * @example
 * const redis = createRedisConnection('redis://127.0.0.1:6379')
 * await redis.connect()
 * const blocklist = createRedisBlocklist({ redis, prefix: 'my-app:' })
 * await blocklist.ready()
 */
export function createRedisBlocklist (options: PublicBlocklistOptions): RedisBlocklist {
  checkOptions(options)
  const settings = readSettings(options)
  const opening = openConnections(options.redis, settings.deadlineMs)
  const blocklist = openWithCutOff(opening, { ...options, ...settings })
  const { deadlineMs, maxTokenLifetimeSeconds } = settings
  return {
    ...blocklist,
    deadlineMs,
    ...maxTokenLifetimeSeconds !== undefined && { maxTokenLifetimeSeconds },
    async ready (subject) {
      await opening.untilConnected()
      await blocklist.ready(subject)
    }
  }
}

function checkOptions (options: PublicBlocklistOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`createRedisBlocklist takes its options as an object, and was given ${shown(options)}.`)
  }
  const { redis, prefix, noevictionAcknowledged = false } = options as Partial<Record<keyof PublicBlocklistOptions, unknown>>
  checkClient(redis)
  if (typeof prefix !== 'string') {
    throw new TypeError(`prefix is ${shown(prefix)}; it must be a text, such as 'my-app:'.`)
  }
  if (typeof noevictionAcknowledged !== 'boolean') {
    throw new TypeError(`noevictionAcknowledged is ${shown(noevictionAcknowledged)}; it must be true or false.`)
  }
  requireFunctions(options, ['onCutOff'])
}
