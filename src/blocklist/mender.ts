import type { RecordTrust } from '../trust/by-record.ts'
import type { Projection } from '../record/projection.ts'

export interface MenderOptions {
  projection: Projection
  guard: Pick<RecordTrust, 'suspend'>
  /** Told when the marker is gone, so that the shard is made again. */
  onMended: () => void
}

/**
 * Sees to it that a shard is made again whose keys may have been left behind when it was moved between servers of a cluster: a
 * move that is broken off, or whose source fails over in the middle of it, can leave the marker where entries are missing. The
 * marker is forgotten as soon as any server can be told to, and nothing counts until then.
 */
export interface Mender {
  /** Answers false when it is at it already. */
  mend (reason: string): boolean
  stop (): void
}

const tryAgainMs = 250

export function createMender ({ projection, guard, onMended }: MenderOptions): Mender {
  let isAtIt = false
  let isStopped = false

  async function forget (): Promise<void> {
    if (isStopped) return
    try {
      await projection.forgetMarker()
    } catch {
      // While it is moved the marker may be in neither place.
      setTimeout(forget, tryAgainMs).unref()
      return
    }
    isAtIt = false
    guard.suspend(undefined, 'mender')
    onMended()
  }

  return {
    mend (reason) {
      if (isAtIt) return false
      isAtIt = true
      guard.suspend(reason, 'mender')
      forget()
      return true
    },
    stop () { isStopped = true }
  }
}
