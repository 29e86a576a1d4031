import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Redis } from 'ioredis'
import type { Config } from '../src/config.ts'
import { describeUrl } from '../src/describe-url.ts'
import { StartupError } from '../src/errors.ts'
import type { Blocklist } from '../src/revocation/blocklist.ts'
import { readBlocklistStatus } from '../src/revocation/blocklist-status.ts'
import type { BreakerOptions } from '../src/revocation/breaker.ts'
import { connectRedis } from '../src/revocation/connect-redis.ts'
import { withDeadline } from '../src/revocation/deadline.ts'
import { createEmbeddedBlocklist } from '../src/revocation/embedded-blocklist.ts'
import { createLogGuard, type LogGuard } from '../src/revocation/log-guard.ts'
import type { Projection } from '../src/revocation/projection.ts'
import { auditRedis, countEvictedKeys, describeFlaw, isAcknowledged, type RedisFlaw } from '../src/revocation/redis-audit.ts'
import { createRedisBlocklist } from '../src/revocation/redis-blocklist.ts'
import { createRedisProjection } from '../src/revocation/redis-projection.ts'
import { createRedisWatch } from '../src/revocation/redis-watch.ts'
import { createRevocationLog, type RevocationLog } from '../src/revocation/revocation-log.ts'
import { createTail, type Tail } from '../src/revocation/tail.ts'

declare module 'fastify' {
  interface FastifyInstance {
    blocklist: Blocklist
    revocationLog: RevocationLog
  }
}

export interface BlocklistOptions {
  config: Pick<Config, 'storage' | 'CLOCK_LEEWAY' | 'BLOCKLIST_DEADLINE_MS' | 'BLOCKLIST_PREFIX' | 'REDIS_NOEVICTION_ACKNOWLEDGED'>
}

/** How long the start waits for the blocklist to be up with the record. Then it listens, and answers 503 until it is. */
const catchUpPatienceMs = 5_000
/** A script of a rebuild writes a thousand entries: no look-up waits for it, and it may take longer than one. */
const rebuildDeadlineMs = 5_000

/** A blocklist and what keeps it up with the record. */
interface Opened {
  blocklist: Blocklist
  tail: Tail
  /** What judges its answers, where that is needed. */
  guard?: LogGuard
  close (): Promise<void>
}

/** Opens the blocklist that the configuration names, in Redis or in the memory of this process, and keeps it up with the record. */
async function blocklist (app: FastifyInstance, { config }: BlocklistOptions): Promise<void> {
  const log = createRevocationLog(app.database, config.CLOCK_LEEWAY)
  const { blocklist, tail, guard, close } = config.storage.kind === 'servers'
    ? await openInRedis(app, config.storage.redisUrl, log, config)
    : openInMemory(app, log, config)
  app.addHook('onClose', close)
  app.decorate('blocklist', blocklist)
  app.decorate('revocationLog', log)
  app.metrics.askBlocklist(() => readBlocklistStatus(blocklist, config.BLOCKLIST_DEADLINE_MS, guard))
  app.readiness.add('blocklist', () => withDeadline(blocklist.ping(), config.BLOCKLIST_DEADLINE_MS))
  app.addHook('onReady', async () => {
    await tail.round()
    tail.start()
    await untilCaughtUp(blocklist)
  })
}

function openInMemory (app: FastifyInstance, log: RevocationLog, config: BlocklistOptions['config']): Opened {
  const { blocklist, projection } = createEmbeddedBlocklist({ leewaySeconds: config.CLOCK_LEEWAY })
  const tail = openTail(app, log, projection)
  return {
    blocklist,
    tail,
    async close () {
      await tail.stop()
      await blocklist.close()
    }
  }
}

async function openInRedis (app: FastifyInstance, url: string, log: RevocationLog, config: BlocklistOptions['config']): Promise<Opened> {
  const { BLOCKLIST_DEADLINE_MS: deadlineMs, BLOCKLIST_PREFIX: prefix, CLOCK_LEEWAY: leewaySeconds } = config
  const redis = await connect(app, url, deadlineMs, 'The connection to Redis', 'Requests with a token get 503 until it is back.')
  const tailRedis = await connect(app, url, Math.max(deadlineMs, rebuildDeadlineMs), 'The second connection to Redis', 'The blocklist is not kept up with the record until it is back.')
  // Before anything can fail: what was opened is closed however the start ends.
  app.addHook('onClose', async () => {
    redis.disconnect()
    tailRedis.disconnect()
  })
  const audit = () => auditRedis({ redis: tailRedis, prefix, leewaySeconds, listLogIds: () => log.listIds() })
  const isBelieved = (flaw: RedisFlaw) => isAcknowledged(flaw, config.REDIS_NOEVICTION_ACKNOWLEDGED)
  await refuseFlaws(app, url, audit, isBelieved)
  const guard = createLogGuard({
    log,
    onDistrust: reason => {
      app.log.warn({ reason }, 'The blocklist is not trusted until it has been compared with the record. Requests with a token get 503.')
      tail.wake()
    },
    onTrust: () => app.log.info('The blocklist is up with the record.')
  })
  watchConnection(redis, guard)
  const blocklist = createRedisBlocklist({
    redis,
    prefix,
    leewaySeconds,
    guard,
    breaker: watchBreaker(app),
    onLookup: app.metrics.lookedUp
  })
  const projection = createRedisProjection({ redis: tailRedis, prefix, leewaySeconds })
  const tail = openTail(app, log, projection)
  tailRedis.on('ready', () => { tail.wake() })
  const watch = createRedisWatch({
    audit: async () => (await audit()).filter(flaw => !isBelieved(flaw)),
    countEvictedKeys: () => countEvictedKeys(tailRedis),
    onFlaws: flaws => {
      for (const flaw of flaws) app.log.error(`${describeFlaw(flaw, url)} Until then requests with a token get 503.`)
      guard.suspend(flaws[0] && `The Redis ${flaws[0].what}.`)
    },
    onEviction: async () => {
      await projection.forgetMarker()
      app.log.error('Redis may have dropped revocations: the blocklist is made again from the record.')
      tail.wake()
    }
  })
  watch.start()
  guard.start()
  return {
    blocklist,
    tail,
    guard,
    async close () {
      guard.stop()
      watch.stop()
      await tail.stop()
      await blocklist.close()
    }
  }
}

/** Throws for the first flaw that nobody has taken upon themselves. */
async function refuseFlaws (app: FastifyInstance, url: string, audit: () => Promise<RedisFlaw[]>, isBelieved: (flaw: RedisFlaw) => boolean): Promise<void> {
  const flaws = await audit().catch(cause => {
    throw new StartupError(`REDIS_URL: the Redis at ${describeUrl(url)} cannot be asked about itself (${cause.message}). Allow this user INFO, TIME and GET.`, { cause })
  })
  for (const flaw of flaws) {
    if (!isBelieved(flaw)) throw new StartupError(describeFlaw(flaw, url))
    app.log.warn(`The Redis at ${describeUrl(url)} ${flaw.what}. It is believed to be noeviction, since REDIS_NOEVICTION_ACKNOWLEDGED says so.`)
  }
}

/** What is known of the blocklist was known on one connection. */
function watchConnection (redis: Redis, guard: LogGuard): void {
  redis.on('ready', () => { guard.connectionChanged() })
  redis.on('close', () => { guard.connectionChanged() })
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

function openTail (app: FastifyInstance, log: RevocationLog, projection: Projection): Tail {
  return createTail({
    log,
    projection,
    onCaughtUp: replay => {
      app.metrics.caughtUp(replay)
      const { from, to, entries, seconds } = replay
      // Following the record is no news; having to make a blocklist again is.
      const level = from === undefined && entries > 0 ? 'info' : 'debug'
      app.log[level]({ position: to.position, entries, seconds }, from === undefined ? 'The blocklist was made again from the record.' : 'The blocklist was brought up to the record.')
    },
    onLogRenamed: (marker, head) => app.log.error({ marker, head }, 'The record of revocations has lost its end: the database was restored from a backup. Its log has a new name, and the blocklist is made again.'),
    onFailure: err => app.log.warn({ err }, 'The blocklist cannot be kept up with the record. It is tried again every second.')
  })
}

function connect (app: FastifyInstance, url: string, deadlineMs: number, what: string, consequence: string): Promise<Redis> {
  return connectRedis(url, {
    deadlineMs,
    onLost: err => { app.log.warn({ err }, `${what} is lost. ${consequence}`) },
    onRestored: () => app.log.info(`${what} is back.`)
  })
}

/** Resolves when look-ups count, or when patience is over. */
async function untilCaughtUp (blocklist: Blocklist): Promise<void> {
  const giveUpAt = performance.now() + catchUpPatienceMs
  while (performance.now() < giveUpAt) {
    try {
      await blocklist.ping()
      return
    } catch {
      await new Promise(resolve => { setTimeout(resolve, 20) })
    }
  }
}

export default fp(blocklist, { name: 'blocklist', fastify: '5.x', dependencies: ['metrics', 'readiness', 'database'] })
