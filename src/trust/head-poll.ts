import { createPoll, type Poll } from '../timing/poll.ts'
import type { MarkerCheck } from './marker-check.ts'
import type { RecentRevocation, RevocationRecord } from '../record/record.ts'
import { entryKey } from '../entries/revocation.ts'

/** Reads the head of the record again and again, and tells those who judge markers by it: one query for all of them. */
export interface HeadPoll extends Poll {
  /**
   * The revocations after the markers as the last poll found them, by the names of their entries. They may only add refusals:
   * a revocation that is not among them may have been recorded since.
   */
  readonly recent: ReadonlyMap<string, RecentRevocation>
  /** What is read from now on is told to this one. */
  add (judge: MarkerCheck): void
}

const pollMs = 900
const compareAgainMs = 100
/** A record that is slow is asked no less often. More at once than a deadline of the database has room for would only make it slower. */
const maxAtOnce = 3

export function createHeadPoll (record: Pick<RevocationRecord, 'readHead' | 'readAfter'>): HeadPoll {
  const judges: MarkerCheck[] = []
  let recent: ReadonlyMap<string, RecentRevocation> = new Map()

  /** While a judge waits for the head it may be a long way to it, and no answer that it judges counts by the marker alone. */
  async function read (): Promise<Awaited<ReturnType<RevocationRecord['readHead']>>> {
    const compared = judges.filter(({ isWaiting }) => !isWaiting)
    if (compared.length === 0) return await record.readHead()
    const { recent: found, ...head } = await record.readAfter(Math.min(...compared.map(({ position }) => position)))
    recent = byEntry(found)
    return head
  }

  async function compare (): Promise<void> {
    const asks = judges.map(judge => judge.ask())
    try {
      const head = await read()
      for (const [index, judge] of judges.entries()) {
        const ask = asks[index]
        if (ask !== undefined) judge.learn(head, ask)
      }
    } catch {
      // It says nothing new, and does not take back what was trusted.
    }
    if (judges.some(({ isWaiting }) => isWaiting)) poll.hasten()
  }

  const poll = createPoll(compare, { everyMs: pollMs, hastenedMs: compareAgainMs, maxAtOnce })
  return { ...poll, add (judge) { judges.push(judge) }, get recent () { return recent } }
}

/** Revocations by the names of their entries. */
export function byEntry (revocations: readonly RecentRevocation[]): ReadonlyMap<string, RecentRevocation> {
  return new Map(revocations.map(revocation => [entryKey(revocation.scope, revocation.id), revocation]))
}
