import type { Blocklist } from '../revocation/blocklist.ts'
import { UntrustedError } from '../trust/trust.ts'
import { parseMarker } from '../record/marker.ts'
import { createMemoryBlocklist, type MemoryBlocklistOptions } from '../revocation/memory-blocklist.ts'
import type { Projection } from '../record/projection.ts'

/**
 * Creates the blocklist of a single process, in its memory. The projector fills it from the record at start. No answer
 * counts before that.
 *
 * A clock that is ahead for a while ends entries too early. When it is set back, the blocklist forgets its marker, and
 * the projector rebuilds it. Nothing else is lost while the process runs.
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
      isRevoked (claims, kid) {
        requireMarker()
        const isRevoked = memory.isRevoked(claims, kid)
        // Checked again: the look-up may have found that the clock was set back.
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
      async reach () { /* Always: the blocklist is in this process. */ },
      async begin (recordId, draft) {
        if (parseMarker(marker)?.recordId !== recordId) marker = draft
        return marker ?? draft
      },
      async advance (from, to, revocations) {
        if (marker !== from) return false
        // The marker moves before anything is awaited: the caller may send the next step before this one resolves.
        const written = memory.revoke(revocations)
        marker = to
        await written
        return true
      },
      async forgetMarker () { marker = undefined }
    }
  }
}
