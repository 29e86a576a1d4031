import { requireFunctions, shown } from '../../input/check-options.ts'
import { checkClient, type IoredisClient } from '../../redis/public-client.ts'
import { readSettings, type BlocklistSettings } from '../../revocation/blocklist.ts'
import type { RedisBlocklist } from '../../revocation/redis-blocklist.ts'
import { openConnections } from './connect.ts'
import type { PostgresRecord } from './postgres-record.ts'
import { openWithCutOff } from './with-cut-off.ts'
import { openWithRecord } from './with-record.ts'

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
  /**
   * A record of revocations in Postgres, made by `createPostgresRecord`. With it, Redis may lose everything: the
   * blocklist is rebuilt, and no user is signed out. Every replica must have it.
   */
  record?: PostgresRecord
  /**
   * Called with an instant, in seconds since the epoch. Tokens that were issued before it are refused from now on.
   * Never called with a record.
   */
  onCutOff?: (issuedBefore: number) => void
}

/** The options of a blocklist, with their defaults. */
export type CheckedOptions = Omit<PublicBlocklistOptions, keyof BlocklistSettings> & ReturnType<typeof readSettings>

/**
 * Creates a blocklist in Redis, shared by every replica that uses the same Redis and prefix.
 *
 * With a record in Postgres, Redis may lose everything. Without one, all tokens that were issued before are refused
 * when Redis may have lost revocations: see `onCutOff`. Call `ready()` before the app listens: it rejects while Redis cannot hold revocations, with the reason.
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
  const { deadlineMs, leewaySeconds, maxTokenLifetimeSeconds } = settings
  const checked = { ...options, ...settings }
  const blocklist = options.record === undefined
    ? openWithCutOff(opening, checked)
    : openWithRecord(opening, options.record.open(leewaySeconds), checked)
  return {
    ...blocklist,
    deadlineMs,
    ...maxTokenLifetimeSeconds !== undefined && { maxTokenLifetimeSeconds },
    async ready (subject) {
      if (options.record === undefined) await opening.untilConnected()
      await blocklist.ready(subject)
    }
  }
}

function checkOptions (options: PublicBlocklistOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`createRedisBlocklist takes its options as an object, and was given ${shown(options)}.`)
  }
  const { redis, prefix, record, noevictionAcknowledged = false } = options as Partial<Record<keyof PublicBlocklistOptions, unknown>>
  checkClient(redis)
  if (typeof prefix !== 'string') {
    throw new TypeError(`prefix is ${shown(prefix)}; it must be a text, such as 'my-app:'.`)
  }
  if (typeof noevictionAcknowledged !== 'boolean') {
    throw new TypeError(`noevictionAcknowledged is ${shown(noevictionAcknowledged)}; it must be true or false.`)
  }
  if (record !== undefined && typeof (record as Partial<PostgresRecord> | null)?.open !== 'function') {
    throw new TypeError(`record is ${shown(record)}; it must be made by createPostgresRecord.`)
  }
  requireFunctions(options, ['onCutOff'])
}
