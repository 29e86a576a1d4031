import type { FastifyInstance } from 'fastify'
import { StartupError } from '../src/errors.ts'
import type { RedisConnections } from '../src/redis/connections.ts'
import { openRedis, type OpenRedis } from '../src/redis/open-redis.ts'
import { describeTopology, variableOf, type RedisTopology } from '../src/redis/topology.ts'
import type { BreakerOptions } from '../src/revocation/breaker.ts'
import type { ProjectionShard } from '../src/revocation/projection.ts'
import { auditRedis, countEvictedKeys, describeFlaw, isAcknowledged, type RedisFlaw } from '../src/revocation/redis-audit.ts'
import { createRedisShards, type RedisShards, type RedisShardsOptions } from '../src/revocation/redis-shards.ts'
import { createRedisWatch, type RedisWatch } from '../src/revocation/redis-watch.ts'
import type { RevocationLog } from '../src/revocation/revocation-log.ts'
import type { Tail } from '../src/revocation/tail.ts'
import type { BlocklistOptions, OpenedBlocklist } from './blocklist.ts'

export interface InRedisOptions extends BlocklistOptions {
  log: RevocationLog
  openTail: (shards: ProjectionShard[]) => Tail
}

/** A script of a rebuild writes a thousand entries: no look-up waits for it, and it may take longer than one. */
const rebuildDeadlineMs = 5_000

/** Looks for what would let the servers forget revocations. */
interface Audit {
  run (): Promise<RedisFlaw[]>
  isBelieved (flaw: RedisFlaw): boolean
}

/** Opens the blocklist in Redis, however its servers are arranged. */
export async function openInRedis (app: FastifyInstance, topology: RedisTopology, { log, config, openTail }: InRedisOptions): Promise<OpenedBlocklist> {
  const { BLOCKLIST_DEADLINE_MS: deadlineMs, BLOCKLIST_PREFIX: prefix, CLOCK_LEEWAY: leewaySeconds } = config
  const redis = openRedis(topology)
  // Before anything can fail: what was opened is closed however the start ends.
  app.addHook('onClose', async () => { redis.close() })
  const connections = await connect(app, redis, deadlineMs, 'The connection to Redis', 'Requests with a token get 503 until it is back.')
  const tailConnections = await connect(app, redis, Math.max(deadlineMs, rebuildDeadlineMs), 'The second connection to Redis', 'The blocklist is not kept up with the record until it is back.')
  const replicated = await openReplicated(app, redis, config)
  const audit = createAudit(tailConnections, log, config)
  await refuseFlaws(app, topology, audit)
  const shards = createRedisShards({
    connections,
    tailConnections,
    replicated,
    prefix,
    leewaySeconds,
    log,
    onDistrust: (reason, isFirst) => {
      if (isFirst) app.log.warn({ reason }, 'The blocklist is not trusted until it has been compared with the record. Requests with a token get 503.')
      tail.wake()
    },
    onTrust: () => app.log.info('The blocklist is up with the record.'),
    onTorn: (tag, reason) => app.log.warn({ tag, reason }, 'A part of the blocklist was moved in the cluster, and is made again from the record. Requests with a token that belongs to it get 503 until it is.'),
    onMended: () => { tail.wake() },
    breaker: watchBreaker(app),
    onLookup: app.metrics.lookedUp
  })
  const tail = openTail(shards.projections)
  for (const { link } of tailConnections.shards) link.onChanged(isReady => { if (isReady) tail.wake() })
  const watch = createWatch(app, topology, { audit, shards, tail, connections: tailConnections })
  watch.start()
  shards.guard.start()
  return {
    blocklist: shards.blocklist,
    tail,
    guard: shards.guard,
    async close () {
      shards.stop()
      watch.stop()
      await tail.stop()
      await shards.blocklist.close()
    }
  }
}

/** Whoever waits for replicas keeps what comes after it on the same connection from an answer: look-ups have another. */
async function openReplicated (app: FastifyInstance, redis: OpenRedis, { BLOCKLIST_WAIT_REPLICAS: replicas, BLOCKLIST_DEADLINE_MS: deadlineMs }: BlocklistOptions['config']): Promise<RedisShardsOptions['replicated']> {
  if (replicas === 0) return undefined
  // Redis answers how many have it when the time is up, and that takes its time too.
  const connections = await connect(app, redis, 2 * deadlineMs, 'The third connection to Redis', 'Logouts get 503 until it is back.')
  return { connections, replicas, deadlineMs }
}

/** Audits every server that has shards. */
function createAudit (connections: RedisConnections, log: RevocationLog, config: BlocklistOptions['config']): Audit {
  const { BLOCKLIST_PREFIX: prefix, CLOCK_LEEWAY: leewaySeconds } = config
  return {
    async run () {
      const listLogIds = () => log.listIds()
      return (await Promise.all(connections.servers().map(server => auditRedis({ ...server, prefix, leewaySeconds, listLogIds })))).flat()
    },
    isBelieved: flaw => isAcknowledged(flaw, config.REDIS_NOEVICTION_ACKNOWLEDGED)
  }
}

/** Throws for the first flaw that nobody has taken upon themselves. */
async function refuseFlaws (app: FastifyInstance, topology: RedisTopology, { run, isBelieved }: Audit): Promise<void> {
  const flaws = await run().catch(cause => {
    throw new StartupError(`${variableOf(topology)}: the Redis at ${describeTopology(topology)} cannot be asked about itself (${cause.message}). Allow this user INFO, TIME and GET.`, { cause })
  })
  for (const flaw of flaws) {
    if (!isBelieved(flaw)) throw new StartupError(describeFlaw(flaw, topology))
    app.log.warn(`The Redis at ${flaw.at ?? describeTopology(topology)} ${flaw.what}. It is believed to be noeviction, since REDIS_NOEVICTION_ACKNOWLEDGED says so.`)
  }
}

function createWatch (app: FastifyInstance, topology: RedisTopology, { audit, shards, tail, connections }: { audit: Audit, shards: RedisShards, tail: Tail, connections: RedisConnections }): RedisWatch {
  return createRedisWatch({
    audit: async () => (await audit.run()).filter(flaw => !audit.isBelieved(flaw)),
    countEvictedKeys: async () => new Map(await Promise.all(connections.servers().map(async ({ at, redis }) => [at, await countEvictedKeys(redis)] as const))),
    onFlaws: flaws => {
      for (const flaw of flaws) app.log.error(`${describeFlaw(flaw, topology)} Until then requests with a token get 503.`)
      shards.guard.suspend(flaws[0] && `The Redis ${flaws[0].what}.`)
    },
    onEviction: async () => {
      await shards.forgetMarkers()
      app.log.error('Redis may have dropped revocations: the blocklist is made again from the record.')
      tail.wake()
    }
  })
}

function watchBreaker (app: FastifyInstance): BreakerOptions {
  return {
    onOpen () {
      app.metrics.breakerOpened()
      app.log.warn('Redis does not answer in time. Requests with a token get 503 at once until it does.')
    },
    onClose () {
      app.metrics.breakerClosed()
      app.log.info('Redis answers in time again.')
    }
  }
}

function connect (app: FastifyInstance, redis: OpenRedis, deadlineMs: number, what: string, consequence: string): Promise<RedisConnections> {
  return redis.connect({
    deadlineMs,
    onLost: err => { app.log.warn({ err }, `${what} is lost. ${consequence}`) },
    onRestored: () => app.log.info(`${what} is back.`)
  })
}
