import type { BlocklistEmitter } from '../events/blocklist-events.ts'
import type { Projection } from '../record/projection.ts'
import { createPoll } from '../timing/poll.ts'
import type { Standing } from '../trust/standing.ts'

export interface MenderOptions {
  projection: Projection
  standing: Pick<Standing, 'suspend'>
  /** Gets `shardReset`. */
  events: BlocklistEmitter
}

/**
 * Has a shard rebuilt after it was moved between servers of a cluster. A move that is broken off, or whose source fails
 * over in the middle of it, can leave the marker where entries are missing. The marker is forgotten as soon as a server
 * accepts that, and no answer of the shard counts until then.
 */
export interface Mender {
  /** Returns false when it is under way already, or stopped. */
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
      // While the shard is moved, the marker may be on neither server.
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
