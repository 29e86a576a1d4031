import { writeEntriesScript } from '../entries/write-entries.ts'
import type { BlocklistEmitter, TrustState } from '../events/blocklist-events.ts'
import { markerStart, projectionKeys } from '../record/marker.ts'
import type { Projection, ProjectionShard } from '../record/projection.ts'
import type { RevocationRecord } from '../record/record.ts'
import { createRedisProjection } from '../record/redis-projection.ts'
import { forgetOtherFormatScript } from '../record/scripts.ts'
import { shardOf } from '../redis/cluster/hash-tags.ts'
import { createTurn } from '../redis/cluster/read-together.ts'
import { shardPrefix, type RedisConnections } from '../redis/connections.ts'
import { createBreaker, runScript, withBreaker, type BreakerOptions, type RedisLink } from '../redis/link.ts'
import {
  createBlocklistInRedis, maxEntriesPerWrite, type RedisBlocklist, type RedisBlocklistOptions
} from '../revocation/redis-blocklist.ts'
import { createReplicatedWrites } from '../revocation/replicated-writes.ts'
import { createShardedBlocklist } from '../revocation/sharded-blocklist.ts'
import { createRecordTrust } from '../trust/by-record.ts'
import { createHeadPoll } from '../trust/head-poll.ts'
import { createRecordQuestion } from '../trust/record-question.ts'
import { createStanding, type Standing } from '../trust/standing.ts'
import { UntrustedError } from '../trust/trust.ts'
import { createMender } from './mender.ts'
import type { TrustStatus } from './status.ts'

export interface ShardsOptions {
  /** For look-ups and logouts. */
  connections: RedisConnections
  /** For logouts that wait for Redis replicas. Undefined if they do not wait. */
  replicated?: ReplicatedConnections | undefined
  /** For the projector, so that no request waits behind a rebuild. */
  projectorConnections: RedisConnections
  prefix: string
  leewaySeconds: number
  record: Pick<RevocationRecord, 'readHead' | 'readAfter'>
  events: BlocklistEmitter
  /** True for apps with the plugin: revocations of everyone and of subjects are compared with `iat`. */
  comparesIssueTimes?: boolean | undefined
  /** True if the tokens of a subject can be revoked. */
  revokesSubjects?: boolean | undefined
}

/** Connections whose writes wait for Redis replicas. */
export interface ReplicatedConnections {
  connections: RedisConnections
  /** The number of Redis replicas that must have a write. */
  replicas: number
  /** The longest wait for the Redis replicas, in milliseconds. */
  deadlineMs: number
}

/**
 * The blocklist in Redis: one shard on a single primary, sixteen in a cluster. Each shard has its own marker and its
 * own standing.
 */
export interface Shards {
  blocklist: RedisBlocklist
  /** The shards as the projector sees them. */
  projections: ProjectionShard[]
  /** The trust in all shards together: that of the least trusted one. */
  status: TrustStatus
  /** Starts to poll the head of the record. No answer counts before that. */
  start (): void
  /**
   * Refuses every answer, for a reason that no marker shows, until it is called without a reason. Meanwhile the
   * projector of this replica rests, because Redis may lose what it writes.
   */
  suspend (reason: string | undefined): void
  /** Resolves to true if Redis answers look-ups for all shards with these tags, trusted or not. */
  answers (tags: readonly string[]): Promise<boolean>
  /**
   * Deletes the markers of all shards, so that the projector rebuilds them. Idempotent. Not atomic: when it rejects,
   * some markers may be deleted, which is safe.
   */
  forgetMarkers (): Promise<void>
  stop (): void
}

/** Creates the shards of the blocklist on connections that are open. */
export function createShards (options: ShardsOptions): Shards {
  const { connections, projectorConnections, prefix, leewaySeconds, record, events, comparesIssueTimes } = options
  const heads = createHeadPoll(record)
  const atEndOfTurn = createTurn()
  const question = createRecordQuestion(record)
  const reporter = createTrustReporter(connections.shards.length, events)
  const breaker = countBreakers(events)
  const projections = projectorConnections.shards.map(({ tag, link }) =>
    createRedisProjection({ redis: link, prefix: shardPrefix(prefix, tag), leewaySeconds, events }))
  const standings = connections.shards.map((_, shard) => createStanding({ heads, onChanged: reporter.of(shard) }))
  const menders = standings.map((standing, shard) =>
    createMender({ projection: projections[shard] as Projection, standing, events }))
  const blocklists = connections.shards.map(({ tag, link }, shard): RedisBlocklist => {
    const standing = standings[shard] as Standing
    // Trust in a shard is gained on one connection, and ends with it.
    link.onChanged(() => { standing.connectionChanged() })
    for (const torn of [link, projectorConnections.shards[shard]?.link]) {
      torn?.onTorn(reason => { if (menders[shard]?.mend(reason)) events.emit('shardMoved', tag, reason) })
    }
    const own = { ...options, link: withBreaker(link, createBreaker(breaker)), prefix: shardPrefix(prefix, tag) }
    const instantsLeewaySeconds = comparesIssueTimes === true ? leewaySeconds : undefined
    const trust = createRecordTrust({
      ...own, standing, question, recent: () => heads.recent, instantsLeewaySeconds
    })
    return createBlocklistInRedis({
      ...own,
      trust,
      write: createWrite(link, shard, options),
      revokesAll: true,
      everyoneBy: comparesIssueTimes === true ? 'iat' : 'auth_time',
      atEndOfTurn,
      onClose: () => { link.close() }
    })
  })
  const shardFor = (subject: string) => shardOf(subject, blocklists.length)
  let suspended: string | undefined
  return {
    blocklist: createShardedBlocklist(blocklists, shardFor),
    projections: projections.map((projection, shard) => ({
      projection: {
        ...projection,
        async reach () {
          if (suspended !== undefined) throw new Error(suspended)
          await projection.reach()
        }
      },
      includes: ({ subject }) => subject === undefined || shardFor(subject) === shard
    })),
    status: unite(standings),
    start: heads.start,
    suspend (reason) {
      suspended = reason
      for (const standing of standings) standing.suspend(reason)
    },
    async answers (tags) {
      const asked = blocklists.filter((_, shard) => tags.includes(connections.shards[shard]?.tag ?? ''))
      const pings = asked.map(blocklist => blocklist.ping().then(() => true, error => error instanceof UntrustedError))
      return (await Promise.all(pings)).every(Boolean)
    },
    async forgetMarkers () { await Promise.all(projections.map(projection => projection.forgetMarker())) },
    stop () {
      heads.stop()
      for (const mender of menders) mender.stop()
    }
  }
}

/**
 * Returns the function that writes the entries of a shard. It uses the connection of look-ups, or a separate one if
 * writes wait for Redis replicas.
 */
function createWrite (link: RedisLink, shard: number, options: ShardsOptions): RedisBlocklistOptions['write'] {
  const { replicated, connections, prefix } = options
  const { marker } = projectionKeys(shardPrefix(prefix, connections.shards[shard]?.tag ?? ''))
  const replicatedLink = replicated?.connections.shards[shard]?.link
  const writeAll: RedisBlocklistOptions['write'] =
    replicated !== undefined && replicatedLink !== undefined
      ? createReplicatedWrites({ ...replicated, link: replicatedLink }, writeEntriesScript, maxEntriesPerWrite)
      : ({ keys, ends }) => link.run(redis => runScript(redis, 'signoutWriteEntries', writeEntriesScript, keys, ends))
  return async entries => {
    // A version that knows another format cannot read these, and must not answer by its own marker any more.
    if (entries.ends.some(ends => typeof ends === 'string')) {
      await link.run(redis =>
        runScript(redis, 'signoutForgetOtherFormat', forgetOtherFormatScript, [marker], [markerStart]))
    }
    await writeAll(entries)
  }
}

/**
 * Creates a reporter that emits the trust in all shards together, so that an outage is one event and not one for each
 * shard.
 */
function createTrustReporter (
  shards: number,
  events: BlocklistEmitter
): { of(shard: number): (trust: TrustState, reason?: string) => void } {
  const each = Array.from({ length: shards }, (): TrustState => 'untrusted')
  return {
    of: shard => (trust, reason) => {
      const before = worst(each)
      each[shard] = trust
      const after = worst(each)
      if (after !== before) events.emit('trustChanged', after, reason)
      if (trust === 'untrusted') events.emit('shardUntrusted')
    }
  }
}

function worst (all: readonly TrustState[]): TrustState {
  return (['untrusted', 'behind'] as const).find(trust => all.includes(trust)) ?? 'trusted'
}

/**
 * Returns options for the breakers of all shards. `breakerOpened` is emitted when the first one opens, and
 * `breakerClosed` when the last one closes.
 */
function countBreakers (events: BlocklistEmitter): BreakerOptions {
  let open = 0
  return {
    onOpen () { if (open++ === 0) events.emit('breakerOpened') },
    onClose () { if (--open === 0) events.emit('breakerClosed') }
  }
}

function unite (standings: readonly Standing[]): TrustStatus {
  return {
    get trust () { return worst(standings.map(({ trust }) => trust)) },
    get positions () {
      const all = standings.map(({ positions }) => positions)
      return { head: all[0]?.head, marker: Math.min(...all.map(({ marker }) => marker)) }
    },
    get progress () {
      const remaining = ({ progress }: Standing) => progress?.remainingSeconds ?? -1
      const [slowest] = [...standings].sort((a, b) => remaining(b) - remaining(a))
      return slowest?.progress
    }
  }
}
