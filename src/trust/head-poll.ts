import { createPoll, type Poll } from '../timing/poll.ts'
import type { MarkerCheck } from './marker-check.ts'
import type { RecentRevocation, RevocationRecord } from '../record/record.ts'
import { entryKey } from '../entries/revocation.ts'

/**
 * Reads the head of the record again and again, and gives it to the checks of all markers: one query for all shards.
 */
export interface HeadPoll extends Poll {
  /**
   * The revocations after the markers as the last poll found them, by the names of their entries. They may only add
   * refusals: a revocation that is not among them may have been recorded since.
   */
  readonly recent: ReadonlyMap<string, RecentRevocation>
  /** Gives each head that is read from now on to the check of a marker. */
  add (marker: MarkerCheck): void
}

const pollMs = 900
const compareAgainMs = 100
/**
 * A slow record is asked as often. More reads at once than fit into a deadline of the database would make it slower.
 */
const maxAtOnce = 3

export function createHeadPoll (record: Pick<RevocationRecord, 'readHead' | 'readAfter'>): HeadPoll {
  const markers: MarkerCheck[] = []
  let recent: ReadonlyMap<string, RecentRevocation> = new Map()

  /** While a marker waits for the head it may be far behind, and no answer counts by the marker alone. */
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
      // It says nothing new, and does not take back what was trusted.
    }
    if (markers.some(({ isWaiting }) => isWaiting)) poll.hasten()
  }

  const poll = createPoll(compare, { everyMs: pollMs, hastenedMs: compareAgainMs, maxAtOnce })
  return { ...poll, add (marker) { markers.push(marker) }, get recent () { return recent } }
}

/** Revocations by the names of their entries. */
export function byEntry (revocations: readonly RecentRevocation[]): ReadonlyMap<string, RecentRevocation> {
  return new Map(revocations.map(revocation => [entryKey(revocation.scope, revocation.id), revocation]))
}
