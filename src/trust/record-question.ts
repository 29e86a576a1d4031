import { byEntry } from './head-poll.ts'
import type { Head, RecentRevocation, RevocationRecord } from '../record/record.ts'

/** The head of the record, and the revocations after a marker that were asked for, by the names of their entries. */
export interface RecordAnswer {
  head: Head
  recent: ReadonlyMap<string, RecentRevocation>
}

/**
 * Asks the record about look-ups whose marker is behind, one query at a time.
 *
 * A question that comes while a query is under way waits for the next query, as do all others. The query under way may
 * have read the record before the look-up was sent.
 */
export interface RecordQuestion {
  /**
   * Returns the head and the matching revocations after a position, read after this call.
   *
   * Rejects when the database does not answer, and when too many questions wait.
   *
   * @param position of the marker that came with the look-up, and not of a later row: 7 may be committed after 8
   * @param entries the names of the entries that were looked up
   */
  ask (position: number, entries: readonly string[]): Promise<RecordAnswer>
}

/** The questions that one query answers. */
interface Round {
  position: number
  entries: Set<string>
  answer: Promise<RecordAnswer>
}

/**
 * The largest number of entries that wait for a query. While Postgres is slow, questions gather for as long as its
 * deadline. Their requests have had their 503 by then.
 */
const maxEntries = 20_000

/**
 * Creates the question to a record.
 *
 * @param record each of its reads must have a deadline
 */
export function createRecordQuestion (record: Pick<RevocationRecord, 'readAfter'>): RecordQuestion {
  let underWay: Promise<unknown> = Promise.resolve()
  let next: Round | undefined

  async function readNext (before: Promise<unknown>, round: Omit<Round, 'answer'>): Promise<RecordAnswer> {
    await before
    next = undefined
    // From the lowest marker of the round. A row that a higher marker has passed is a revocation all the same.
    const { recent, ...head } = await record.readAfter(round.position, [...round.entries].map(idOf))
    return { head, recent: byEntry(recent) }
  }

  function openRound (position: number): Round {
    const round = { position, entries: new Set<string>() }
    const answer = readNext(underWay, round)
    underWay = answer.catch(() => {})
    return Object.assign(round, { answer })
  }

  return {
    async ask (position, entries) {
      next ??= openRound(position)
      if (next.entries.size + entries.length > maxEntries) {
        throw new Error(`More than ${maxEntries} entries wait for the record.`)
      }
      next.position = Math.min(next.position, position)
      for (const entry of entries) next.entries.add(entry)
      return await next.answer
    }
  }
}

/** Returns the id in the name of an entry, `jti:…` or `sid:…`. */
function idOf (entry: string): string {
  return entry.slice(entry.indexOf(':') + 1)
}
