import type { Clocks } from '../clocks/clocks.ts'
import type { Storage } from '../config.ts'
import type { BlocklistEmitter } from '../events/blocklist-events.ts'
import { createProjector } from '../record/projector.ts'
import type { RevocationRecord } from '../record/record.ts'
import type { Blocklist } from '../revocation/blocklist.ts'
import { createEmbeddedBlocklist } from './embedded.ts'
import type { BlocklistConfig, KeptBlocklist } from './kept-blocklist.ts'
import { openInRedis } from './open-in-redis.ts'
import { readBlocklistStatus, type BlocklistStatus } from './status.ts'

export interface OpenBlocklistOptions {
  config: BlocklistConfig
  storage: Storage
  record: RevocationRecord
  /** Compares the clocks of this machine, Redis and Postgres while the blocklist is in Redis. */
  clocks: Clocks
  /** Emits everything that happens to the blocklist. */
  events: BlocklistEmitter
  /**
   * True to open no blocklist, because Redis is down. Revocations are recorded in Postgres, and the projector of
   * another replica writes them to Redis.
   */
  isDown?: boolean
}

/** The blocklist of the service. */
export interface OpenedBlocklist {
  blocklist: Blocklist
  /** Starts the projector. Resolves when look-ups count, at the latest after five seconds. */
  start (): Promise<void>
  /** Reads the state of the blocklist. Resolves within the deadline of the blocklist, and never rejects. */
  readStatus (): Promise<BlocklistStatus>
  /** True if Redis lacks the newest revocations, so that look-ups ask Postgres about those. */
  readonly isBehind: boolean
  /** Stops the projector. Another replica takes over at once. */
  stopProjector (): Promise<void>
  /** True if the projector of this replica is the one that copies the record to the blocklist. */
  readonly isProjector: boolean
  /** Stops the projector, and closes all connections. */
  close (): Promise<void>
}

/**
 * The longest that the start waits for the blocklist. After that the service listens, and answers 503 until the
 * blocklist has caught up with the record.
 */
const startDeadlineMs = 5_000
const askAgainMs = 20

/**
 * Opens the blocklist that the settings name, in Redis or in the memory of this process. The projector of one replica
 * copies the record to it.
 *
 * Rejects with a `StartupError` when the settings are wrong, and with an `OutageError` when Redis is down.
 *
 * @example
 * const events = createBlocklistEvents()
 * const { blocklist, start, close } = await openBlocklist({ config, storage, record, clocks, events })
 * await start()
 */
export async function openBlocklist (options: OpenBlocklistOptions): Promise<OpenedBlocklist> {
  const { deadlineMs } = options.config
  const { blocklist: kept, status, projector, close } = await openKept(options)
  const blocklist = { ...kept, deadlineMs }
  return {
    blocklist,
    async start () {
      projector?.start()
      if (projector !== undefined) await untilAnswered(blocklist)
    },
    readStatus: () => readBlocklistStatus(blocklist, deadlineMs, status),
    async stopProjector () { await projector?.stop() },
    get isBehind () { return status?.trust === 'behind' },
    get isProjector () { return projector?.hasLease === true },
    close
  }
}

async function openKept ({ storage, isDown = false, ...options }: OpenBlocklistOptions): Promise<KeptBlocklist> {
  if (isDown) return openNone(options.config)
  return storage.kind === 'embedded'
    ? openInMemory(options)
    : await openInRedis({ ...options, topology: storage.redis })
}

/** Returns a blocklist that rejects every look-up and every revocation. */
function openNone ({ leewaySeconds }: BlocklistConfig): KeptBlocklist {
  const fail = () => Promise.reject(new Error('The blocklist was not opened.'))
  const close = async () => { /* There is nothing to close. */ }
  return { blocklist: { leewaySeconds, revoke: fail, isRevoked: fail, ping: fail, close }, close }
}

function openInMemory ({
  record,
  events,
  config: { leewaySeconds }
}: Omit<OpenBlocklistOptions, 'storage'>): KeptBlocklist {
  const { blocklist, projection } = createEmbeddedBlocklist({
    leewaySeconds,
    onSetBack: () => { events.emit('clockSetBack') }
  })
  const projector = createProjector({ record, shards: [{ projection, includes: () => true }], events })
  return {
    blocklist,
    projector,
    async close () {
      await projector.stop()
      await blocklist.close()
    }
  }
}

async function untilAnswered (blocklist: Blocklist): Promise<void> {
  const giveUpAt = performance.now() + startDeadlineMs
  while (performance.now() < giveUpAt) {
    try {
      await blocklist.ping()
      return
    } catch {
      await new Promise(resolve => { setTimeout(resolve, askAgainMs) })
    }
  }
}
