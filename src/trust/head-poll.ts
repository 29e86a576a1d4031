import { createPoll, type Poll } from '../timing/poll.ts'
import type { MarkerCheck } from './marker-check.ts'
import type { RecentRevocation, RevocationRecord } from '../record/record.ts'
import { entryKey } from '../entries/revocation.ts'

/** Polls the head of the record for the marker checks of all shards, with one query. */
export interface HeadPoll extends Poll {
  /**
   * The revocations after the markers as the last poll found them, by the names of their entries. They can only add
   * refusals: a revocation that is not among them may have been recorded since.
   */
  readonly recent: ReadonlyMap<string, RecentRevocation>
  /** Adds a marker check, which gets each head that is read from now on. */
  add (marker: MarkerCheck): void
}

const pollMs = 900
const compareAgainMs = 100
/**
 * The number of reads that may be under way at once, so that a slow database is read as often as a fast one. More would
 * make it slower.
 */
const maxAtOnce = 3

/** Creates the poll of the head, which reads nothing until it is started. */
export function createHeadPoll (record: Pick<RevocationRecord, 'readHead' | 'readAfter'>): HeadPoll {
  const markers: MarkerCheck[] = []
  let recent: ReadonlyMap<string, RecentRevocation> = new Map()

  /**
   * Reads the head, with the revocations after the lowest marker that has been compared. A marker that waits is left
   * out. It may be far behind, and no answer counts by it alone.
   */
  async function read (): Promise<Awaited<ReturnType<RevocationRecord['readHead']>>> {
    const compared = markers.filter(({ isWaiting }) => !isWaiting)
    if (compared.length === 0) return await record.readHead()
    const { recent: found, ...head } = await record.readAfter(Math.min(...compared.map(({ position }) => position)))
    recent = byEntry(found)
    return head
  }

  async function compare (): Promise<void> {
    const asks = markers.map(marker => marker.ask())
    try {
      const head = await read()
      for (const [index, marker] of markers.entries()) {
        const ask = asks[index]
        if (ask !== undefined) marker.learn(head, ask)
      }
    } catch {
      // A failed read changes nothing: what was trusted stays trusted.
    }
    if (markers.some(({ isWaiting }) => isWaiting)) poll.hasten()
  }

  const poll = createPoll(compare, { everyMs: pollMs, hastenedMs: compareAgainMs, maxAtOnce })
  return { ...poll, add (marker) { markers.push(marker) }, get recent () { return recent } }
}

/** Returns revocations by the names of their entries. Of several for everyone, the one with the latest instant. */
export function byEntry (revocations: readonly RecentRevocation[]): ReadonlyMap<string, RecentRevocation> {
  const found = new Map<string, RecentRevocation>()
  for (const revocation of revocations) {
    const name = entryKey(revocation.scope, revocation.id)
    const known = found.get(name)?.issuedBefore ?? -Infinity
    if (known <= (revocation.issuedBefore ?? Infinity)) found.set(name, revocation)
  }
  return found
}
