import type { RedisBlocklist } from '../../revocation/redis-blocklist.ts'
import { openConnections } from './connect.ts'
import { checkOptions, type PublicBlocklistOptions } from './options.ts'
import { openWithCutOff } from './with-cut-off.ts'
import { openWithRecord } from './with-record.ts'

/**
 * Creates a blocklist in Redis, shared by every replica that uses the same Redis and prefix.
 *
 * With a record in Postgres, Redis may lose everything. Without one, all tokens that were issued before are refused
 * when Redis may have lost revocations: see `onCutOff`. Call `ready()` before the app listens. It rejects while Redis
 * cannot hold revocations, with the reason as its cause.
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
  const checked = checkOptions(options)
  const { deadlineMs, leewaySeconds, maxTokenLifetimeSeconds } = checked
  const opening = openConnections(options.redis, deadlineMs)
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
