import { requireFunctions, shown } from '../input/check-options.ts'
import { BlocklistClosedError, readSettings, type Blocklist, type BlocklistSettings } from './blocklist.ts'
import {
  checkRevocations,
  entryEndsAt,
  entryKey,
  type Revocation,
  type RevocationScope
} from '../entries/revocation.ts'

export interface MemoryBlocklistOptions extends BlocklistSettings {
  /** Called when the clock was set back by more than the leeway. Entries may have ended too early. */
  onSetBack?: () => void
  /** Returns the time, in milliseconds since the epoch. Defaults to `Date.now`. */
  now?: () => number
}

/** A blocklist in memory. */
export interface MemoryBlocklist extends Blocklist {
  readonly deadlineMs: number
  /** The number of entries. Expired entries that were not swept yet are included. */
  readonly size: number
}

/** Entries that end in the same bucket of time are swept together. */
const bucketMs = 10_000

/**
 * Creates a blocklist in the memory of this process. It is the reference implementation, and right for a single
 * process. Its entries are lost when the process ends, and other replicas do not see them.
 *
 * A look-up reads a Map once or twice. Expired entries are dropped a bucket at a time, once the end of the bucket has
 * passed. So no look-up and no revocation ever scans all entries.
 *
 * Throws a TypeError that says what is wrong with the options.
 *
 * @example
 * const blocklist = createMemoryBlocklist()
 */
export function createMemoryBlocklist (options: MemoryBlocklistOptions = {}): MemoryBlocklist {
  checkOptions(options)
  const { leewaySeconds, deadlineMs } = readSettings(options)
  const { onSetBack, now = Date.now } = options
  const endsAtByKey = new Map<string, number>()
  const keysByBucket = new Map<number, string[]>()
  let sweepAt = Infinity
  let lookedAt = -Infinity
  let closed = false

  function add (revocation: Revocation): void {
    const key = entryKey(revocation.scope, revocation.id)
    const endsAt = entryEndsAt(revocation.expiresAt, leewaySeconds)
    if (endsAt <= now() || endsAt <= (endsAtByKey.get(key) ?? 0)) return
    endsAtByKey.set(key, endsAt)
    const bucket = Math.floor(endsAt / bucketMs) + 1
    const keys = keysByBucket.get(bucket)
    if (keys === undefined) keysByBucket.set(bucket, [key])
    else keys.push(key)
    sweepAt = Math.min(sweepAt, bucket * bucketMs)
  }

  function sweep (): void {
    const at = now()
    if (at < lookedAt - leewaySeconds * 1000) onSetBack?.()
    lookedAt = at
    if (at < sweepAt) return
    sweepAt = Infinity
    for (const [bucket, keys] of keysByBucket) {
      if (bucket * bucketMs > at) {
        sweepAt = Math.min(sweepAt, bucket * bucketMs)
        continue
      }
      keysByBucket.delete(bucket)
      // An entry that was extended since also stands in a later bucket, and stays.
      for (const key of keys) if ((endsAtByKey.get(key) ?? Infinity) <= at) endsAtByKey.delete(key)
    }
  }

  function isListed (scope: RevocationScope, id: string): boolean {
    const endsAt = endsAtByKey.get(entryKey(scope, id))
    return endsAt !== undefined && endsAt > now()
  }

  return {
    leewaySeconds,
    deadlineMs,
    async revoke (revocations) {
      checkRevocations(revocations)
      if (closed) throw new BlocklistClosedError()
      sweep()
      for (const revocation of revocations) add(revocation)
    },
    isRevoked (claims) {
      if (closed) throw new BlocklistClosedError()
      sweep()
      return isListed('token', claims.jti) || (claims.sid !== undefined && isListed('session', claims.sid))
    },
    async ping () {
      if (closed) throw new BlocklistClosedError()
    },
    async close () {
      closed = true
      endsAtByKey.clear()
      keysByBucket.clear()
    },
    get size () { return endsAtByKey.size }
  }
}

function checkOptions (options: MemoryBlocklistOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`createMemoryBlocklist takes its options as an object, and was given ${shown(options)}.`)
  }
  requireFunctions(options, ['now', 'onSetBack'])
}
