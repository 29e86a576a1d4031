import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { createClocks, type Clocks } from '../src/clocks/clocks.ts'
import type { Blocklist, BlocklistSettings } from '../src/revocation/blocklist.ts'
import { readBlocklistStatus } from '../src/blocklist/status.ts'
import { withDeadline } from '../src/timing/deadline.ts'
import { createEmbeddedBlocklist } from '../src/blocklist/embedded.ts'
import type { ProjectionShard } from '../src/record/projection.ts'
import { createRevocationRecord, type RevocationRecord } from '../src/record/record.ts'
import { createProjector, type Projector } from '../src/record/projector.ts'
import type { BlocklistOptions, OpenedBlocklist } from '../src/blocklist/opened.ts'
import { openInRedis } from './blocklist-in-redis.ts'

declare module 'fastify' {
  interface FastifyInstance {
    blocklist: Blocklist
    revocationRecord: RevocationRecord
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
  const record = createRevocationRecord(app.database, config.CLOCK_LEEWAY)
  app.decorate('clocks', createClocks({ leewaySeconds: config.CLOCK_LEEWAY }))
  const { blocklist, projector, guard, close } = await open(app, record, options)
  app.addHook('onClose', close)
  app.decorate('blocklist', blocklist)
  app.decorate('revocationRecord', record)
  app.metrics.askBlocklist(() => readBlocklistStatus(blocklist, config.BLOCKLIST_DEADLINE_MS, guard))
  app.readiness.add('blocklist', () => withDeadline(blocklist.ping(), config.BLOCKLIST_DEADLINE_MS), () => guard?.trust === 'behind' ? { blocklist: 'behind' } : {})
  app.metrics.askClocks(() => app.clocks.differences)
  app.readiness.add('clocks', async () => {
    const fault = app.clocks.findFault()
    if (fault !== undefined) throw fault
  })
  if (projector === undefined) return
  app.addHook('onReady', async () => {
    projector.start()
    await untilCaughtUp(blocklist)
  })
}

async function open (app: FastifyInstance, record: RevocationRecord, { config, isAway = false }: BlocklistOptions): Promise<OpenedBlocklist> {
  const settings = { leewaySeconds: config.CLOCK_LEEWAY, deadlineMs: config.BLOCKLIST_DEADLINE_MS }
  if (isAway) return openNone(settings)
  if (config.storage.kind === 'embedded') return openInMemory(app, record, settings)
  return await openInRedis(app, config.storage.redis, { record, config, clocks: app.clocks, openProjector: (shards: ProjectionShard[]) => openProjector(app, record, shards) })
}

/** Can neither be asked nor written. */
function openNone (settings: Settings): OpenedBlocklist {
  const fail = () => Promise.reject(new Error('The blocklist is away.'))
  const close = async () => { /* There is nothing to close. */ }
  return { blocklist: { ...settings, revoke: fail, isRevoked: fail, ping: fail, close }, close }
}

function openInMemory (app: FastifyInstance, record: RevocationRecord, settings: Settings): OpenedBlocklist {
  const { blocklist, projection } = createEmbeddedBlocklist({
    ...settings,
    onSetBack: () => app.log.warn('The clock of this machine was set back. The blocklist is rebuilt, since entries may have ended too early.')
  })
  const projector = openProjector(app, record, [{ projection, includes: () => true }])
  return {
    blocklist,
    projector,
    async close () {
      await projector.stop()
      await blocklist.close()
    }
  }
}

function openProjector (app: FastifyInstance, record: RevocationRecord, shards: ProjectionShard[]): Projector {
  return createProjector({
    record,
    shards,
    onCaughtUp: catchUp => {
      app.metrics.caughtUp(catchUp)
      const { from, to, entries, seconds } = catchUp
      // Following the record is no news; having to make a blocklist again is.
      const level = from === undefined && entries > 0 ? 'info' : 'debug'
      app.log[level]({ position: to.position, entries, seconds }, from === undefined ? 'The blocklist was made again from the record.' : 'The blocklist was brought up to the record.')
    },
    onRecordRenamed: (marker, head) => app.log.error({ marker, head }, 'The record of revocations has lost its end: the database was restored from a backup. Its record has a new name, and the blocklist is made again.'),
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
