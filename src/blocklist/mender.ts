import type { BlocklistEmitter } from '../events/blocklist-events.ts'
import type { Projection } from '../record/projection.ts'
import { createPoll } from '../timing/poll.ts'
import type { Standing } from '../trust/standing.ts'

export interface MenderOptions {
  projection: Projection
  standing: Pick<Standing, 'suspend'>
  /** Emits `shardReset`. */
  events: BlocklistEmitter
}

/**
 * Has a shard rebuilt after its slot was moved between servers of a cluster.
 *
 * A move that is broken off, or whose source fails over half-way, can leave the marker on a server that lacks entries.
 * The mender deletes the marker as soon as a server accepts that. No answer of the shard counts until then.
 */
export interface Mender {
  /**
   * Starts to delete the marker, and tries again until that succeeds. Returns false if that is under way already, or if
   * the mender was stopped.
   */
  mend (reason: string): boolean
  stop (): void
}

const tryAgainMs = 250

/** Creates the mender of one shard. */
export function createMender ({ projection, standing, events }: MenderOptions): Mender {
  let isMending = false
  let isStopped = false
  const poll = createPoll(forget, { everyMs: tryAgainMs, hastenedMs: 0 })

  async function forget (): Promise<void> {
    try {
      await projection.forgetMarker()
    } catch {
      // Servers may refuse the command while the slot is being moved. The poll tries again.
      return
    }
    poll.stop()
    isMending = false
    standing.suspend(undefined, 'mender')
    events.emit('shardReset')
  }

  return {
    mend (reason) {
      if (isMending || isStopped) return false
      isMending = true
      standing.suspend(reason, 'mender')
      poll.start()
      return true
    },
    stop () {
      isStopped = true
      poll.stop()
    }
  }
}
