import { entryMarginSeconds, subjectKey } from '../../entries/revocation.ts'
import { writeEntriesScript, writeSubjectScript } from '../../entries/write-entries.ts'
import { shardOf } from '../../redis/cluster/hash-tags.ts'
import { createTurn } from '../../redis/cluster/read-together.ts'
import { shardPrefix, type RedisShard } from '../../redis/connections.ts'
import { createBreaker, runScript, withBreaker } from '../../redis/link.ts'
import { createOutstanding, withBounds } from '../../redis/outstanding.ts'
import { createBlocklistInRedis, type RedisBlocklist } from '../../revocation/redis-blocklist.ts'
import { createShardedBlocklist } from '../../revocation/sharded-blocklist.ts'
import { createCutOffTrust } from '../../trust/by-cut-off.ts'
import type { OpeningConnections } from './connect.ts'
import type { CheckedOptions } from './options.ts'

/** Creates a blocklist without a record. Each shard has a cut-off of its own. */
export function openWithCutOff ({ connections, close }: OpeningConnections, options: CheckedOptions): RedisBlocklist {
  const atEndOfTurn = createTurn()
  const onMoved = oncePerInstant(options.onCutOff)
  const shards = connections.shards.map(shard => createShard(shard, { ...options, onCutOff: onMoved }, atEndOfTurn))
  const blocklist = createShardedBlocklist(shards, subject => shardOf(subject, shards.length))
  return {
    ...blocklist,
    async close () {
      await blocklist.close()
      close()
    }
  }
}

/** Calls a function with each later instant. The shards of a cluster find the same one. */
function oncePerInstant (onCutOff: CheckedOptions['onCutOff']): (seconds: number) => void {
  let told = 0
  return seconds => {
    if (seconds <= told) return
    told = seconds
    onCutOff?.(seconds)
  }
}

function createShard (
  { tag, link: unbounded }: RedisShard,
  options: CheckedOptions,
  atEndOfTurn: (work: () => void) => void
): RedisBlocklist {
  const { leewaySeconds, deadlineMs, maxTokenLifetimeSeconds, noevictionAcknowledged, onCutOff } = options
  const prefix = shardPrefix(options.prefix, tag)
  const outstanding = createOutstanding(deadlineMs)
  const link = withBounds(unbounded, outstanding)
  const trust = createCutOffTrust({
    link: withBreaker(link, createBreaker()), prefix, leewaySeconds, noevictionAcknowledged, onMoved: onCutOff
  })
  const blocklist = createBlocklistInRedis({
    prefix,
    leewaySeconds,
    trust,
    revokesSubjects: maxTokenLifetimeSeconds !== undefined,
    atEndOfTurn,
    write: ({ keys, ends }) => outstanding.hold(keys.length, () =>
      unbounded.run(redis => runScript(redis, 'signoutWriteEntries', writeEntriesScript, keys, ends))),
    onClose: () => { link.close() }
  })
  if (maxTokenLifetimeSeconds === undefined) return blocklist
  const keptSeconds = maxTokenLifetimeSeconds + Math.ceil(entryMarginSeconds(leewaySeconds))
  return {
    ...blocklist,
    async revokeSubject (subject) {
      const keys = [prefix + subjectKey(subject)]
      const limits = [leewaySeconds, keptSeconds]
      await link.run(redis => runScript(redis, 'signoutWriteSubject', writeSubjectScript, keys, limits))
    },
    revokeEveryone: () => trust.move()
  }
}
