import { refuseUnknown, requireFunctions, shown } from '../../input/check-options.ts'
import { checkClient, type IoredisClient } from '../../redis/public-client.ts'
import { readSettings, type BlocklistSettings } from '../../revocation/blocklist.ts'
import type { PostgresRecord } from './postgres-record.ts'

export interface PublicBlocklistOptions extends BlocklistSettings {
  /**
   * The Redis: a connection made by `createRedisConnection`, or a client of ioredis 5 or 6, alone, behind Sentinel, or
   * of a cluster.
   *
   * A connection made by `createRedisConnection` belongs to the first blocklist that gets it, which closes it. It tells
   * a second blocklist only where Redis is, as a client of your own does. The blocklist opens connections with
   * bounds of their own, and closes only those.
   */
  redis: IoredisClient
  /** The text in front of every key, so that several applications can share one Redis. */
  prefix: string
  /**
   * True if you have made sure that Redis evicts no keys, although it does not tell its `maxmemory-policy`. If it does
   * evict keys, revoked tokens may be accepted. Defaults to false: no token is accepted then. It does not help against
   * a policy that Redis does tell.
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

/** Returns the options with their defaults. Throws a TypeError that says what is wrong with one of them. */
export function checkOptions (options: PublicBlocklistOptions): CheckedOptions {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`createRedisBlocklist takes its options as an object, and was given ${shown(options)}.`)
  }
  const given: Partial<Record<keyof PublicBlocklistOptions, unknown>> = options
  const { redis, prefix, record, noevictionAcknowledged = false } = given
  refuseUnknown(options, [
    'redis', 'prefix', 'leewaySeconds', 'deadlineMs', 'maxTokenLifetimeSeconds', 'noevictionAcknowledged', 'record',
    'onCutOff'
  ])
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
  return { ...options, ...readSettings(options) }
}
