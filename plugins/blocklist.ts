import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { createClocks, type Clocks } from '../src/clocks/clocks.ts'
import type { Blocklist, BlocklistSettings } from '../src/revocation/blocklist.ts'
import { readBlocklistStatus } from '../src/blocklist/status.ts'
import { withDeadline } from '../src/timing/deadline.ts'
import { createEmbeddedBlocklist } from '../src/blocklist/embedded.ts'
import type { ProjectionShard } from '../src/record/projection.ts'
import { createRevocationLog, type RevocationLog } from '../src/record/record.ts'
import { createTail, type Tail } from '../src/record/projector.ts'
import type { BlocklistOptions, OpenedBlocklist } from '../src/blocklist/opened.ts'
import { openInRedis } from './blocklist-in-redis.ts'

declare module 'fastify' {
  interface FastifyInstance {
    blocklist: Blocklist
    revocationLog: RevocationLog
    /** Compares the clock of this machine with those of Redis and Postgres. */
    clocks: Clocks
  }
}

/** How long the start waits for the blocklist to be up with the record. Then it listens, and answers 503 until it is. */
const catchUpPatienceMs = 5_000

type Settings = Required<BlocklistSettings>

/** Opens the blocklist that the configuration names, in Redis or in the memory of this process, and keeps it up with the record. */
async function blocklist (app: FastifyInstance, options: BlocklistOptions): Promise<void> {
  const { config } = options
  const log = createRevocationLog(app.database, config.CLOCK_LEEWAY)
  app.decorate('clocks', createClocks({ leewaySeconds: config.CLOCK_LEEWAY }))
  const { blocklist, tail, guard, close } = await open(app, log, options)
  app.addHook('onClose', close)
  app.decorate('blocklist', blocklist)
  app.decorate('revocationLog', log)
  app.metrics.askBlocklist(() => readBlocklistStatus(blocklist, config.BLOCKLIST_DEADLINE_MS, guard))
  app.readiness.add('blocklist', () => withDeadline(blocklist.ping(), config.BLOCKLIST_DEADLINE_MS), () => guard?.trust === 'behind' ? { blocklist: 'behind' } : {})
  app.metrics.askClocks(() => app.clocks.differences)
  app.readiness.add('clocks', async () => {
    const fault = app.clocks.findFault()
    if (fault !== undefined) throw fault
  })
  if (tail === undefined) return
  app.addHook('onReady', async () => {
    tail.start()
    await untilCaughtUp(blocklist)
  })
}

async function open (app: FastifyInstance, log: RevocationLog, { config, isAway = false }: BlocklistOptions): Promise<OpenedBlocklist> {
  const settings = { leewaySeconds: config.CLOCK_LEEWAY, deadlineMs: config.BLOCKLIST_DEADLINE_MS }
  if (isAway) return openNone(settings)
  if (config.storage.kind === 'embedded') return openInMemory(app, log, settings)
  return await openInRedis(app, config.storage.redis, { log, config, clocks: app.clocks, openTail: (shards: ProjectionShard[]) => openTail(app, log, shards) })
}

/** Can neither be asked nor written. */
function openNone (settings: Settings): OpenedBlocklist {
  const fail = () => Promise.reject(new Error('The blocklist is away.'))
  const close = async () => { /* There is nothing to close. */ }
  return { blocklist: { ...settings, revoke: fail, isRevoked: fail, ping: fail, close }, close }
}

function openInMemory (app: FastifyInstance, log: RevocationLog, settings: Settings): OpenedBlocklist {
  const { blocklist, projection } = createEmbeddedBlocklist({
    ...settings,
    onSetBack: () => app.log.warn('The clock of this machine was set back. The blocklist is rebuilt, since entries may have ended too early.')
  })
  const tail = openTail(app, log, [{ projection, includes: () => true }])
  return {
    blocklist,
    tail,
    async close () {
      await tail.stop()
      await blocklist.close()
    }
  }
}

function openTail (app: FastifyInstance, log: RevocationLog, shards: ProjectionShard[]): Tail {
  return createTail({
    log,
    shards,
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
