import type { Clocks } from '../../clocks/clocks.ts'
import { createOwnershipCheck } from '../../record/ownership.ts'
import type { Projector } from '../../record/projector.ts'
import type { RevocationRecord } from '../../record/record.ts'
import type { RedisConnections } from '../../redis/connections.ts'
import { clockFlaws, createRedisAuditor } from '../../redis/health/auditor.ts'
import { isAcknowledged, reasonOf, type RedisFlaw } from '../../redis/health/examination.ts'
import { createRedisWatch, type RedisLosses } from '../../redis/health/watch.ts'
import type { Shards } from '../shards.ts'
import type { CheckedOptions } from './options.ts'

export interface AuditParts {
  connections: RedisConnections
  record: RevocationRecord
  clocks: Clocks
  shards: Shards
  options: CheckedOptions
}

/** Creates the audit of Redis and of the clocks, by which the blocklist of an app decides whether answers count. */
export function createAudit ({ connections, record, clocks, shards, options }: AuditParts): () => Promise<RedisFlaw[]> {
  const { prefix, leewaySeconds, noevictionAcknowledged = false } = options
  const audit = createRedisAuditor({
    prefix,
    leewaySeconds,
    clocks,
    readsPolicyFromInfo: true,
    holdsForeign: createOwnershipCheck(prefix, () => record.listNames()),
    servers: connections.servers,
    readRecordClock: () => record.readClock(),
    answers: shards.answers
  })
  return async () => (await audit()).filter(flaw => !isAcknowledged(flaw, noevictionAcknowledged))
}

export interface WatchParts extends Pick<AuditParts, 'clocks' | 'shards' | 'options'> {
  audit: () => Promise<RedisFlaw[]>
  losses: RedisLosses
  projector: Pick<Projector, 'wake'>
}

/** Watches Redis and the clocks while the app runs. */
export interface PluginWatch {
  /** Examines Redis for the first time. Answers count after that, unless there is a flaw. Rejects if it fails. */
  open (): Promise<void>
  /**
   * Examines Redis again if there was a flaw, so that its cure is noticed at once. Concurrent calls share one look.
   * Rejects with the flaw and its cure if it is still there.
   */
  lookAgain (): Promise<void>
  stop (): void
}

/** Creates the watch. While there is a flaw, no answer counts, and the reason says what to do. */
export function createPluginWatch (
  { audit, clocks, losses, shards, projector, options: { leewaySeconds, prefix } }: WatchParts
): PluginWatch {
  let flaws: RedisFlaw[] = []
  let isSettled = false
  let looking: Promise<void> | undefined
  const watch = createRedisWatch({
    async audit () {
      const found = await audit()
      // Once: a doubt may be there from a replica that has found a flaw, and ended.
      if (found.length === 0 && !isSettled) {
        await losses.settle()
        isSettled = true
      }
      return found
    },
    takeSetBack: () => clocks.takeSetBack(),
    losses,
    onFlaws (found) {
      flaws = found
      shards.suspend(describe(flaws, prefix))
      if (flaws.length === 0) projector.wake()
    },
    forgetMarkers: () => shards.forgetMarkers()
  })
  return {
    async open () {
      await watch.look()
      shards.suspend(describe(flaws, prefix))
      clocks.start(() => { watch.clocksChanged(clockFlaws(clocks.compare(), leewaySeconds)) })
      watch.start()
    },
    async lookAgain () {
      if (flaws.length > 0) await (looking ??= watch.look().finally(() => { looking = undefined }))
      const flaw = describe(flaws, prefix)
      if (flaw !== undefined) throw new Error(flaw)
    },
    stop () {
      clocks.stop()
      watch.stop()
    }
  }
}

/** The cures that differ from those of the service. */
function cureOf ({ kind, cure }: RedisFlaw, prefix: string): string {
  if (kind === 'eviction_unknown') {
    return 'Make sure that it is noeviction, and set noevictionAcknowledged: true at the blocklist.'
  }
  if (kind === 'foreign_record') {
    return `Choose another prefix; or delete the key ${prefix}marker if no other app uses it.`
  }
  return kind === 'unaudited' ? 'Allow this user INFO, TIME and GET.' : cure
}

function describe ([flaw]: RedisFlaw[], prefix: string): string | undefined {
  return flaw && `${reasonOf(flaw).replace('CLOCK_LEEWAY', 'leewaySeconds')} ${cureOf(flaw, prefix)}`
}
