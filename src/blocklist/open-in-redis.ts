import type { Clocks } from '../clocks/clocks.ts'
import type { BlocklistEmitter, ConnectionPurpose } from '../events/blocklist-events.ts'
import { createRedisLosses } from '../record/losses.ts'
import { createOwnershipCheck } from '../record/ownership.ts'
import { createProjector, type Projector } from '../record/projector.ts'
import type { RevocationRecord } from '../record/record.ts'
import { silenceFor, type RedisConnectionOptions } from '../redis/connection.ts'
import type { RedisConnections } from '../redis/connections.ts'
import { clockFlaws, createRedisAuditor, recordServer } from '../redis/health/auditor.ts'
import { auditRedis, describeFlaw, isAcknowledged, reasonOf, type RedisFlaw } from '../redis/health/examination.ts'
import { createRedisWatch, type RedisLosses, type RedisWatch } from '../redis/health/watch.ts'
import { openRedis, type OpenRedis } from '../redis/open-redis.ts'
import type { RedisTopology } from '../redis/topology.ts'
import type { BlocklistConfig, KeptBlocklist } from './kept-blocklist.ts'
import { createShards, type ReplicatedConnections, type Shards } from './shards.ts'
import { refuseFlaws } from './start-audit.ts'

export interface OpenInRedisOptions {
  config: BlocklistConfig
  topology: RedisTopology
  record: RevocationRecord
  clocks: Clocks
  events: BlocklistEmitter
}

/**
 * The deadline of a script, in milliseconds. A script writes up to 1,000 entries, so it may take longer than a look-up.
 * No look-up waits behind it: the projector has connections of its own.
 */
const rebuildDeadlineMs = 5_000

/**
 * Opens the blocklist in Redis: on a single server, behind sentinels, or in a cluster. Closes its connections when it
 * fails.
 *
 * Rejects with a `StartupError` when a setting is wrong or Redis has a flaw, and with an `OutageError` when Redis is
 * down.
 */
export async function openInRedis (options: OpenInRedisOptions): Promise<KeptBlocklist> {
  const redis = openRedis(options.topology)
  try {
    return await openOn(redis, options)
  } catch (error) {
    redis.close()
    throw error
  }
}

async function openOn (redis: OpenRedis, options: OpenInRedisOptions): Promise<KeptBlocklist> {
  const {
    topology,
    record,
    clocks,
    events,
    config: { deadlineMs, prefix, leewaySeconds, noevictionAcknowledged }
  } = options
  const connections = await connect(redis, events, 'look-ups', { deadlineMs })
  // A script may take longer than a look-up. An unreachable server is still found as soon as for look-ups: scripts are
  // short, and Redis answers one after another.
  const projectorDeadlines = { deadlineMs: Math.max(deadlineMs, rebuildDeadlineMs), silenceMs: silenceFor(deadlineMs) }
  const projectorConnections = await connect(redis, events, 'projector', projectorDeadlines)
  const replicated = await openReplicated(redis, options)
  const losses = createRedisLosses(projectorConnections, prefix, events)
  const audit = createAudit(projectorConnections, options)
  const isAccepted = (flaw: RedisFlaw) => isAcknowledged(flaw, noevictionAcknowledged)
  await refuseFlaws({ topology, audit: audit.now, isAcknowledged: isAccepted, losses, events })
  const shards = createShards({
    connections,
    projectorConnections,
    replicated,
    prefix,
    leewaySeconds,
    record,
    events
  })
  const projector = createProjector({ record, shards: shards.projections, events })
  events.on('shardUntrusted', projector.wake)
  events.on('shardReset', projector.wake)
  for (const { link } of projectorConnections.shards) link.onChanged(isReady => { if (isReady) projector.wake() })
  const findFlaws = audit.repeated(shards)
  const watch = createWatch({
    ...options,
    audit: async () => (await findFlaws()).filter(flaw => !isAccepted(flaw)),
    losses,
    shards,
    projector
  })
  clocks.start(dispute => {
    events.emit('clocksChanged', dispute?.description, clocks.differences)
    watch.clocksChanged(clockFlaws(clocks.compare(), leewaySeconds))
  })
  watch.start()
  shards.start()
  return {
    blocklist: shards.blocklist,
    status: shards.status,
    projector,
    async close () {
      shards.stop()
      clocks.stop()
      watch.stop()
      await projector.stop()
      await shards.blocklist.close()
      redis.close()
    }
  }
}

/**
 * Creates the two audits of Redis and the clocks. `now` runs at start, and rejects if a server does not answer.
 * `repeated` runs while the service does, and keeps the known flaws of a server that does not answer.
 */
function createAudit (
  { servers }: RedisConnections,
  { record, clocks, config: { prefix, leewaySeconds } }: OpenInRedisOptions
) {
  const common = { prefix, clocks, holdsForeign: createOwnershipCheck(prefix, () => record.listNames()) }
  const readRecordClock = () => record.readClock()
  return {
    async now (): Promise<RedisFlaw[]> {
      const reading = clocks.read(recordServer, readRecordClock)
      const [flaws] = await Promise.all([
        Promise.all(servers().map(server => auditRedis({ ...server, ...common }))),
        reading
      ])
      return [...clockFlaws(clocks.compare(), leewaySeconds), ...flaws.flat()]
    },
    repeated: ({ answers }: Pick<Shards, 'answers'>) =>
      createRedisAuditor({ ...common, leewaySeconds, readRecordClock, servers, answers })
  }
}

interface Watched extends Pick<OpenInRedisOptions, 'topology' | 'clocks' | 'events'> {
  audit: () => Promise<RedisFlaw[]>
  losses: RedisLosses
  shards: Shards
  projector: Projector
}

function createWatch ({ topology, audit, clocks, losses, events, shards, projector }: Watched): RedisWatch {
  return createRedisWatch({
    audit,
    takeSetBack: () => clocks.takeSetBack(),
    losses,
    onFlaws: flaws => {
      events.emit('flawsFound', flaws.map(flaw => describeFlaw(flaw, topology)))
      shards.suspend(flaws[0] && reasonOf(flaws[0]))
      if (flaws.length === 0) projector.wake()
    },
    forgetMarkers: () => shards.forgetMarkers()
  })
}

/**
 * Opens connections for writes that wait for Redis replicas. Resolves to undefined if no write has to. WAIT delays
 * every later command on its connection, so look-ups use other connections.
 */
async function openReplicated (
  redis: OpenRedis,
  { events, config: { waitReplicas, deadlineMs } }: OpenInRedisOptions
): Promise<ReplicatedConnections | undefined> {
  if (waitReplicas === 0) return undefined
  // Redis answers WAIT when its time is up, and that answer takes time as well.
  const connections = await connect(redis, events, 'replicated writes', { deadlineMs: 2 * deadlineMs })
  return { connections, replicas: waitReplicas, deadlineMs }
}

type Deadlines = Pick<RedisConnectionOptions, 'deadlineMs' | 'silenceMs'>

function connect (
  redis: OpenRedis,
  events: BlocklistEmitter,
  purpose: ConnectionPurpose,
  deadlines: Deadlines
): Promise<RedisConnections> {
  return redis.connect({
    ...deadlines,
    onLost: error => { events.emit('connectionLost', purpose, error) },
    onRestored: () => { events.emit('connectionRestored', purpose) }
  })
}
