import type { FastifyInstance } from 'fastify'
import type { Clocks } from '../src/clocks/clocks.ts'
import type { ClockDispute } from '../src/clocks/compare-clocks.ts'
import { AwayError, SignoutError, StartupError } from '../src/errors.ts'
import type { RedisConnections } from '../src/redis/connections.ts'
import { openRedis, type OpenRedis } from '../src/redis/open-redis.ts'
import { describeTopology, variableOf, type RedisTopology } from '../src/redis/topology.ts'
import type { BreakerOptions } from '../src/revocation/breaker.ts'
import { clockFlaws, createRedisAuditor, recordServer } from '../src/redis/health/auditor.ts'
import type { Trust } from '../src/trust/by-record.ts'
import type { ProjectionShard } from '../src/record/projection.ts'
import { auditRedis, describeFlaw, isAcknowledged, mayForget, reasonOf, type RedisFlaw } from '../src/redis/health/examination.ts'
import { silenceFor, type RedisConnectionOptions } from '../src/redis/connection.ts'
import { createRedisLosses, isWriteRefused, type Loss } from '../src/record/losses.ts'
import { createOwnershipCheck } from '../src/record/ownership.ts'
import { createRedisShards, type RedisShards, type RedisShardsOptions } from '../src/blocklist/shards.ts'
import { createRedisWatch, type RedisLosses, type RedisWatch } from '../src/redis/health/watch.ts'
import type { RevocationRecord } from '../src/record/record.ts'
import type { Projector } from '../src/record/projector.ts'
import type { BlocklistOptions, OpenedBlocklist } from '../src/blocklist/opened.ts'

export interface InRedisOptions extends BlocklistOptions {
  record: RevocationRecord
  clocks: Clocks
  openProjector: (shards: ProjectionShard[]) => Projector
}

/** A script of a rebuild writes a thousand entries: no look-up waits for it, and it may take longer than one. */
const rebuildDeadlineMs = 5_000

/** Opens the blocklist in Redis, however its servers are arranged. */
export async function openInRedis (app: FastifyInstance, topology: RedisTopology, { record, clocks, config, openProjector }: InRedisOptions): Promise<OpenedBlocklist> {
  const { BLOCKLIST_DEADLINE_MS: deadlineMs, BLOCKLIST_PREFIX: prefix, CLOCK_LEEWAY: leewaySeconds } = config
  const redis = openRedis(topology)
  // Before anything can fail: what was opened is closed however the start ends.
  app.addHook('onClose', async () => { redis.close() })
  const connections = await connect(app, redis, { deadlineMs }, 'The connection to Redis', 'Requests with a token get 503 until it is back.')
  // Patient with a script, and not with a network that has swallowed it: something is always answered while scripts are under way.
  const projectorDeadlines = { deadlineMs: Math.max(deadlineMs, rebuildDeadlineMs), silenceMs: silenceFor(deadlineMs) }
  const projectorConnections = await connect(app, redis, projectorDeadlines, 'The second connection to Redis', 'The blocklist is not kept up with the record until it is back.')
  const replicated = await openReplicated(app, redis, config)
  const onLoss = createLossReport(app)
  const losses = createRedisLosses(projectorConnections, prefix, onLoss)
  const audit = { prefix, clocks, holdsForeign: createOwnershipCheck(prefix, () => record.listNames()) }
  const isBelieved = (flaw: RedisFlaw) => isAcknowledged(flaw, config.REDIS_NOEVICTION_ACKNOWLEDGED)
  const findClockFlaws = () => clockFlaws(clocks.compare(), leewaySeconds)
  const auditAll = async () => {
    const readRecordClock = clocks.read(recordServer, () => record.readClock())
    const [flaws] = await Promise.all([Promise.all(projectorConnections.servers().map(server => auditRedis({ ...server, ...audit }))), readRecordClock])
    return [...findClockFlaws(), ...flaws.flat()]
  }
  await refuseFlaws(app, topology, { losses, isBelieved, audit: auditAll })
  const shards = createRedisShards({
    connections,
    projectorConnections,
    replicated,
    prefix,
    leewaySeconds,
    deadlineMs,
    record,
    onDistrust: () => { projector.wake() },
    onTrust: (trust, reason) => { reportTrust(app, trust, reason) },
    onLoss,
    onTorn: (tag, reason) => app.log.warn({ tag, reason }, 'A part of the blocklist was moved in the cluster, and is made again from the record. Requests with a token that belongs to it get 503 until it is.'),
    onMended: () => { projector.wake() },
    breaker: watchBreaker(app),
    onLookup: app.metrics.lookedUp
  })
  const projector = openProjector(shards.projections)
  for (const { link } of projectorConnections.shards) link.onChanged(isReady => { if (isReady) projector.wake() })
  const findFlaws = createRedisAuditor({ ...audit, leewaySeconds, readRecordClock: () => record.readClock(), servers: () => projectorConnections.servers(), answers: shards.answers })
  const watch = createWatch(app, topology, { audit: async () => (await findFlaws()).filter(flaw => !isBelieved(flaw)), clocks, losses, shards, projector })
  clocks.start(dispute => {
    logDispute(app, dispute)
    watch.clocksChanged(findClockFlaws())
  })
  watch.start()
  shards.guard.start()
  return {
    blocklist: shards.blocklist,
    projector,
    guard: shards.guard,
    async close () {
      shards.stop()
      clocks.stop()
      watch.stop()
      await projector.stop()
      await shards.blocklist.close()
    }
  }
}

/** Whoever waits for replicas keeps what comes after it on the same connection from an answer: look-ups have another. */
async function openReplicated (app: FastifyInstance, redis: OpenRedis, { BLOCKLIST_WAIT_REPLICAS: replicas, BLOCKLIST_DEADLINE_MS: deadlineMs }: BlocklistOptions['config']): Promise<RedisShardsOptions['replicated']> {
  if (replicas === 0) return undefined
  // Redis answers how many have it when the time is up, and that takes its time too.
  const connections = await connect(app, redis, { deadlineMs: 2 * deadlineMs }, 'The third connection to Redis', 'Logouts get 503 until it is back.')
  return { connections, replicas, deadlineMs }
}

interface Start {
  audit: () => Promise<RedisFlaw[]>
  isBelieved: (flaw: RedisFlaw) => boolean
  losses: RedisLosses
}

/** What Redis answers that refuses something begins with a word of its own, such as NOPERM. That stays so; no answer may pass by itself. */
const refusal = /^[A-Z]+ /

function cannotAsk (topology: RedisTopology, cause: Error): Error {
  // Postgres could not be asked which logs are ours.
  if (cause instanceof SignoutError) return cause
  const server = `${variableOf(topology)}: the Redis at ${describeTopology(topology)}`
  if (!refusal.test(cause.message) || isWriteRefused(cause)) return new AwayError('blocklist', `${server} does not answer when it is asked about itself (${cause.message}). See to it that it answers reads and writes.`, { cause })
  return new StartupError(`${server} cannot be asked about itself (${cause.message}). Allow this user INFO, TIME and GET.`, { cause })
}

/** Throws for the first flaw that nobody has taken upon themselves. */
async function refuseFlaws (app: FastifyInstance, topology: RedisTopology, { audit, isBelieved, losses }: Start): Promise<void> {
  const ask = <T>(asked: Promise<T>) => asked.catch(cause => { throw cannotAsk(topology, cause) })
  const flaws = await ask(audit())
  const refused = flaws.filter(flaw => !isBelieved(flaw))
  if (refused[0] !== undefined) {
    // Whoever starts later cannot see any more what it may have dropped. What is somebody else's is left as it is.
    if (refused.some(mayForget) && !flaws.some(({ kind }) => kind === 'foreign_record')) await losses.doubt().catch(() => {})
    throw new StartupError(describeFlaw(refused[0], topology))
  }
  for (const flaw of flaws) app.log.warn(`The Redis at ${flaw.at ?? describeTopology(topology)} ${flaw.what}. It is believed to be noeviction, since REDIS_NOEVICTION_ACKNOWLEDGED says so.`)
  await ask(losses.settle())
}

interface Watched extends Pick<Start, 'audit' | 'losses'> {
  clocks: Clocks
  shards: RedisShards
  projector: Projector
}

function createWatch (app: FastifyInstance, topology: RedisTopology, { audit, clocks, losses, shards, projector }: Watched): RedisWatch {
  return createRedisWatch({
    audit,
    takeSetBack: () => clocks.takeSetBack(),
    losses,
    onFlaws: flaws => {
      for (const flaw of flaws) app.log.error(`${describeFlaw(flaw, topology)} Until then requests with a token get 503.`)
      shards.suspend(flaws[0] && reasonOf(flaws[0]))
      if (flaws.length === 0) projector.wake()
    },
    forgetMarkers: () => shards.forgetMarkers()
  })
}

function reportTrust (app: FastifyInstance, trust: Trust, reason: string | undefined): void {
  if (trust === 'untrusted') app.log.warn({ reason }, 'The blocklist is not trusted until it has been compared with the record. Requests with a token get 503.')
  else if (trust === 'behind') app.log.warn('Redis is behind the record: it may refuse writes. Tokens are checked against Postgres as well, and logouts may get 503.')
  else app.log.info('The blocklist is up with the record.')
}

function logDispute (app: FastifyInstance, dispute: ClockDispute | undefined): void {
  const clocks = app.clocks.differences
  if (dispute === undefined) app.log.info({ clocks }, 'Clocks agree again.')
  else app.log.error({ clocks }, `Clocks differ: ${dispute.description}. No token is issued, and none is refused for its time.`)
}

const lossReports: Record<Loss, string> = {
  evicted: 'Redis has dropped keys, revocations maybe among them: the blocklist is made again from the record.',
  replaced: 'The Redis of before was not asked for a while, and this one may have dropped revocations: the blocklist is made again from the record.'
}
/** Several shards find the same at once. */
const lossReportEveryMs = 1_000

function createLossReport (app: FastifyInstance): (loss: Loss) => void {
  let reportedAt = -Infinity
  return loss => {
    if (performance.now() < reportedAt + lossReportEveryMs) return
    reportedAt = performance.now()
    app.log[loss === 'evicted' ? 'error' : 'warn'](lossReports[loss])
  }
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

function connect (app: FastifyInstance, redis: OpenRedis, deadlines: Pick<RedisConnectionOptions, 'deadlineMs' | 'silenceMs'>, what: string, consequence: string): Promise<RedisConnections> {
  return redis.connect({
    ...deadlines,
    onLost: err => { app.log.warn({ err }, `${what} is lost. ${consequence}`) },
    onRestored: () => app.log.info(`${what} is back.`)
  })
}
