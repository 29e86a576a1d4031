import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { openBlocklist, type OpenedBlocklist } from '../src/blocklist/open-blocklist.ts'
import { createClocks, type Clocks } from '../src/clocks/clocks.ts'
import type { Config } from '../src/config.ts'
import { sqlDatabaseOf } from '../src/db/statements.ts'
import { createBlocklistEvents } from '../src/events/blocklist-events.ts'
import { logBlocklistEvents } from '../src/monitoring/log-blocklist.ts'
import { createRevocationRecord, type RevocationRecord } from '../src/record/record.ts'
import type { Blocklist } from '../src/revocation/blocklist.ts'
import { withDeadline } from '../src/timing/deadline.ts'

declare module 'fastify' {
  interface FastifyInstance {
    blocklist: Blocklist
    revocationRecord: RevocationRecord
    /** Compares the clock of this machine with those of Redis and Postgres. */
    clocks: Clocks
  }
}

export interface BlocklistOptions {
  config: Pick<Config, 'storage' | 'clocks' | 'blocklist'>
  /** Opens no blocklist: revocations are recorded while Redis is down. */
  isDown?: boolean
}

/** Opens the blocklist, reports what happens to it to the log and the metrics, and closes it. */
async function blocklist (app: FastifyInstance, { config, isDown = false }: BlocklistOptions): Promise<void> {
  const events = createBlocklistEvents()
  logBlocklistEvents(events, app.log, app.outages)
  app.metrics.listenTo(events)
  const record = createRevocationRecord(sqlDatabaseOf(app.database), config.clocks.leewaySeconds)
  const clocks = createClocks(config.clocks)
  const opened = await openBlocklist({
    config: { ...config.blocklist, ...config.clocks },
    storage: config.storage,
    record,
    clocks,
    events,
    isDown
  })
  app.addHook('onReady', opened.start)
  app.addHook('preClose', async () => {
    // Not awaited: a step on a stalled Redis must not keep the port open. `close` waits for it.
    opened.stopProjector().catch(() => {})
  })
  app.addHook('onClose', async () => {
    // The end of trust that closing causes is no news.
    events.removeAllListeners('trustChanged')
    await opened.close()
  })
  app.decorate('blocklist', opened.blocklist)
  app.decorate('revocationRecord', record)
  app.decorate('clocks', clocks)
  report(app, opened, config.blocklist.deadlineMs)
}

/** Adds the blocklist and the clocks to the metrics and to the readiness. */
function report (app: FastifyInstance, opened: OpenedBlocklist, deadlineMs: number): void {
  app.metrics.askBlocklist(opened.readStatus)
  app.metrics.askClocks(() => app.clocks.differences)
  app.metrics.ask({ isProjector: () => opened.isProjector })
  app.readiness.add(
    'blocklist',
    () => withDeadline(app.blocklist.ping(), deadlineMs),
    () => (opened.isBehind ? { blocklist: 'behind' } : {})
  )
  app.readiness.add('clocks', async () => {
    const fault = app.clocks.findFault()
    if (fault !== undefined) throw fault
  })
}

const dependencies = ['metrics', 'readiness', 'outages', 'database']
export default fp(blocklist, { name: 'blocklist', fastify: '5.x', dependencies })
