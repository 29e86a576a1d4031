import type { Blocklist } from '../revocation/blocklist.ts'
import { UntrustedError } from '../trust/trust.ts'
import { parseMarker } from '../record/marker.ts'
import { createMemoryBlocklist, type MemoryBlocklistOptions } from '../revocation/memory-blocklist.ts'
import type { Projection } from '../record/projection.ts'

/**
 * The blocklist of a single process, in its memory, as a projection of the record: it is filled from it at start, and
 * counts from then on. While the process runs, nothing is lost from it but by a clock that is ahead for a while:
 * entries end too early then. So it is rebuilt when the clock was set back.
 */
export function createEmbeddedBlocklist (options: MemoryBlocklistOptions): {
  blocklist: Blocklist
  projection: Projection
} {
  let marker: string | undefined
  const memory = createMemoryBlocklist({
    ...options,
    onSetBack () {
      marker = undefined
      options.onSetBack?.()
    }
  })
  function requireMarker (): void {
    if (parseMarker(marker) === undefined) {
      throw new UntrustedError('The blocklist has not been filled from the record yet.', 1, undefined, true)
    }
  }
  return {
    blocklist: {
      leewaySeconds: memory.leewaySeconds,
      revoke: revocations => memory.revoke(revocations),
      isRevoked (claims) {
        requireMarker()
        const isRevoked = memory.isRevoked(claims)
        // The look-up itself finds that the clock was set back.
        requireMarker()
        return isRevoked
      },
      async ping () {
        requireMarker()
        await memory.ping()
      },
      close: () => memory.close()
    },
    projection: {
      async reach () { /* It is in this process. */ },
      async begin (recordId, draft) {
        if (parseMarker(marker)?.recordId !== recordId) marker = draft
        return marker ?? draft
      },
      async advance (from, to, revocations) {
        if (marker !== from) return false
        // The next step may be asked for before this one is awaited.
        const written = memory.revoke(revocations)
        marker = to
        await written
        return true
      },
      async forgetMarker () { marker = undefined }
    }
  }
}
