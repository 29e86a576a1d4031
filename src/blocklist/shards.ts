import { shardPrefix, type RedisConnections } from '../redis/connections.ts'
import { shardOf } from '../redis/cluster/hash-tags.ts'
import { createTurn } from '../redis/cluster/read-together.ts'
import type { Blocklist } from '../revocation/blocklist.ts'
import type { BreakerOptions } from '../revocation/breaker.ts'
import type { SettledBatch } from '../revocation/coalescer.ts'
import { createHeadPoll } from '../trust/head-poll.ts'
import { createRecordTrust, UntrustedError, type RecordTrust, type Trust } from '../trust/by-record.ts'
import { createMender } from './mender.ts'
import type { Projection, ProjectionShard } from '../record/projection.ts'
import { createRecordQuestion } from '../trust/record-question.ts'
import { createRedisBlocklist } from '../revocation/redis-blocklist.ts'
import type { Loss } from '../record/losses.ts'
import { createRedisProjection } from '../record/redis-projection.ts'
import type { RevocationRecord } from '../record/record.ts'
import { createShardedBlocklist } from '../revocation/sharded-blocklist.ts'

export interface RedisShardsOptions {
  /** For look-ups and logouts. */
  connections: RedisConnections
  /** For logouts that wait until so many replicas of Redis have them. */
  replicated?: { connections: RedisConnections, replicas: number, deadlineMs: number } | undefined
  /** For keeping the blocklist up: nobody waits behind a rebuild. */
  projectorConnections: RedisConnections
  prefix: string
  leewaySeconds: number
  /** How long a look-up or a logout may take, in milliseconds. Defaults to 250. */
  deadlineMs?: number
  record: Pick<RevocationRecord, 'readHead' | 'readAfter'>
  /** Called when the answers of any shard do not count any more. */
  onDistrust: () => void
  /** Called when the answers of all shards together are worth something else: as much as those of the worst shard. */
  onTrust: (trust: Trust, reason?: string) => void
  /** Told when the marker of a shard was forgotten, since Redis may have lost something. */
  onLoss: (loss: Loss) => void
  /** Told when a shard has to be made again, since it was moved. */
  onTorn: (tag: string, reason: string) => void
  /** Told when the marker of such a shard is gone, so that the projector makes it again. */
  onMended: () => void
  breaker: BreakerOptions
  onLookup: (batch: SettledBatch) => void
}

/** The blocklist in Redis: one shard on a single primary, several in a cluster, each with a marker and a judge of its own. */
export interface RedisShards {
  blocklist: Blocklist
  /** The shards as their projector sees them. */
  projections: ProjectionShard[]
  /** What judges the answers, of all shards together. */
  guard: Pick<RecordTrust, 'start' | 'trust' | 'positions' | 'progress'>
  /**
   * Refuses everything for a reason that no marker shows, until it is called without one. Meanwhile nothing is kept up from here, but by
   * whoever finds nothing wrong: what is written may be lost again.
   */
  suspend (reason: string | undefined): void
  /** Whether look-ups are answered for all shards with these tags, whatever the answers are worth. */
  answers (tags: readonly string[]): Promise<boolean>
  /** Forgets the markers of all, so that everything is written again. */
  forgetMarkers (): Promise<void>
  /** Compares and mends no more. */
  stop (): void
}

export function createRedisShards (options: RedisShardsOptions): RedisShards {
  const { connections, projectorConnections, prefix, leewaySeconds, deadlineMs, record } = options
  const heads = createHeadPoll(record)
  const atEndOfTurn = createTurn()
  const question = createRecordQuestion(record)
  const trust = countTrust(connections.shards.length, options)
  const breaker = countBreakers(options.breaker)
  const projectorShards = projectorConnections.shards
  const projections = projectorShards.map(({ tag, link }) => createRedisProjection({ redis: link, prefix: shardPrefix(prefix, tag), leewaySeconds, onLoss: options.onLoss }))
  const guards = connections.shards.map((_, shard) => createRecordTrust({ record, heads, onTrust: trust.of(shard) }))
  const menders = guards.map((guard, shard) => createMender({ projection: projections[shard] as Projection, guard, onMended: options.onMended }))
  const blocklists = connections.shards.map(({ tag, link }, shard) => {
    const guard = guards[shard] as RecordTrust
    const writer = options.replicated?.connections.shards[shard]?.link
    const replicated = options.replicated && writer && { ...options.replicated, link: writer }
    // What is known of a shard was known on one connection.
    link.onChanged(() => { guard.connectionChanged() })
    for (const torn of [link, projectorShards[shard]?.link]) torn?.onTorn(reason => { if (menders[shard]?.mend(reason)) options.onTorn(tag, reason) })
    return createRedisBlocklist({ redis: link, prefix: shardPrefix(prefix, tag), leewaySeconds, deadlineMs, guard, record: question, recent: () => heads.recent, onLoss: options.onLoss, breaker, replicated, atEndOfTurn, onLookup: options.onLookup })
  })
  let suspended: string | undefined
  async function reach (projection: Projection): Promise<void> {
    if (suspended !== undefined) throw new Error(suspended)
    await projection.reach()
  }
  const shardFor = (subject: string) => shardOf(subject, blocklists.length)
  return {
    blocklist: createShardedBlocklist(blocklists, shardFor),
    projections: projections.map((projection, shard) => ({
      projection: { ...projection, reach: () => reach(projection) },
      includes: ({ subject }) => subject === undefined || shardFor(subject) === shard
    })),
    guard: unite(guards),
    suspend (reason) {
      suspended = reason
      for (const guard of guards) guard.suspend(reason)
    },
    async answers (tags) {
      const asked = blocklists.filter((_, shard) => tags.includes(connections.shards[shard]?.tag ?? ''))
      const answers = await Promise.all(asked.map(blocklist => blocklist.ping().then(() => true, error => error instanceof UntrustedError)))
      return answers.every(Boolean)
    },
    stop () {
      for (const guard of guards) guard.stop()
      for (const mender of menders) mender.stop()
    },
    async forgetMarkers () { await Promise.all(projections.map(projection => projection.forgetMarker())) }
  }
}

/** Reports the trust in all shards together, so that a record has a line for each outage and not for each shard. */
function countTrust (shards: number, { onDistrust, onTrust }: RedisShardsOptions): { of (shard: number): (trust: Trust, reason?: string) => void } {
  const each = Array.from({ length: shards }, (): Trust => 'untrusted')
  return {
    of: shard => (trust, reason) => {
      const before = worst(each)
      each[shard] = trust
      const after = worst(each)
      if (after !== before) onTrust(after, reason)
      if (trust === 'untrusted') onDistrust()
    }
  }
}

function worst (all: readonly Trust[]): Trust {
  return (['untrusted', 'behind'] as const).find(trust => all.includes(trust)) ?? 'trusted'
}

/** As if the breakers of all shards were one, which is open while any is. */
function countBreakers ({ onOpen, onClose, ...rest }: BreakerOptions): BreakerOptions {
  let open = 0
  return {
    ...rest,
    onOpen () { if (open++ === 0) onOpen?.() },
    onClose () { if (--open === 0) onClose?.() }
  }
}

function unite (guards: readonly RecordTrust[]): RedisShards['guard'] {
  return {
    start () { for (const guard of guards) guard.start() },
    get trust () { return worst(guards.map(({ trust }) => trust)) },
    get positions () {
      const all = guards.map(({ positions }) => positions)
      return { head: all[0]?.head, marker: Math.min(...all.map(({ marker }) => marker)) }
    },
    get progress () {
      return guards.map(({ progress }) => progress).reduce((slowest, progress) => (progress?.remainingSeconds ?? -1) > (slowest?.remainingSeconds ?? -1) ? progress : slowest, undefined)
    }
  }
}
