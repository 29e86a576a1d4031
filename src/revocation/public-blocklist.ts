import type { Redis } from 'ioredis'
import { entryMarginSeconds, subjectKey } from '../entries/revocation.ts'
import { writeEntriesScript, writeSubjectScript } from '../entries/write-entries.ts'
import { requireFunctions, shown } from '../input/check-options.ts'
import { boundCommands } from '../redis/connection.ts'
import { createBreaker, linkTo, runScript, withBreaker } from '../redis/link.ts'
import { createCutOffTrust } from '../trust/by-cut-off.ts'
import { readSettings, type BlocklistSettings } from './blocklist.ts'
import { createBlocklistInRedis, type RedisBlocklist } from './redis-blocklist.ts'

export interface PublicBlocklistOptions extends BlocklistSettings {
  /** A connection made by `createRedisConnection`. The blocklist closes it, and bounds its commands by `deadlineMs`. */
  redis: Redis
  /** The text in front of every key, so that several applications can share one Redis. */
  prefix: string
  /** Called with an instant, in seconds since the epoch. Tokens that were issued before it are refused from now on. */
  onCutOff?: (issuedBefore: number) => void
}

/**
 * Creates a blocklist in Redis, shared by every replica that uses the same Redis and prefix.
 *
 * There is no record to rebuild it from. When Redis may have lost revocations, all tokens that were issued before are
 * refused: see `onCutOff`, and `ready()`.
 *
 * Throws a TypeError that says what is wrong with the options.
 *
 * @example
 * const redis = createRedisConnection('redis://127.0.0.1:6379')
 * await redis.connect()
 * const blocklist = createRedisBlocklist({ redis, prefix: 'my-app:' })
 */
export function createRedisBlocklist (options: PublicBlocklistOptions): RedisBlocklist {
  checkOptions(options)
  const { redis, prefix, onCutOff } = options
  const { leewaySeconds, deadlineMs, maxTokenLifetimeSeconds } = readSettings(options)
  boundCommands(redis, deadlineMs)
  const link = linkTo(redis)
  const trust = createCutOffTrust({
    link: withBreaker(link, createBreaker()),
    prefix,
    leewaySeconds,
    onMoved: onCutOff
  })
  const blocklist = createBlocklistInRedis({
    prefix,
    leewaySeconds,
    trust,
    revokesSubjects: maxTokenLifetimeSeconds !== undefined,
    write: ({ keys, ends }) =>
      link.run(redis => runScript(redis, 'signoutWriteEntries', writeEntriesScript, keys, ends)),
    onClose: () => { link.close() }
  })
  if (maxTokenLifetimeSeconds === undefined) return { ...blocklist, deadlineMs }
  const keptSeconds = maxTokenLifetimeSeconds + Math.ceil(entryMarginSeconds(leewaySeconds))
  return {
    ...blocklist,
    deadlineMs,
    maxTokenLifetimeSeconds,
    async revokeSubject (subject) {
      const keys = [prefix + subjectKey(subject)]
      const limits = [leewaySeconds, keptSeconds]
      await link.run(redis => runScript(redis, 'signoutWriteSubject', writeSubjectScript, keys, limits))
    },
    revokeEveryone: () => trust.move()
  }
}

function checkOptions (options: PublicBlocklistOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`createRedisBlocklist takes its options as an object, and was given ${shown(options)}.`)
  }
  const { redis, prefix } = options as { redis: Partial<Redis> | null | undefined, prefix: unknown }
  if (typeof redis?.mget !== 'function') {
    throw new TypeError(`redis is ${shown(redis)}; it must be a connection made by createRedisConnection.`)
  }
  if (typeof prefix !== 'string') {
    throw new TypeError(`prefix is ${shown(prefix)}; it must be a text, such as 'my-app:'.`)
  }
  requireFunctions(options, ['onCutOff'])
}
