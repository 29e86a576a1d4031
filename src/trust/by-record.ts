import type { BlocklistEmitter } from '../events/blocklist-events.ts'
import { checkForLoss } from '../record/losses.ts'
import { projectionKeys } from '../record/marker.ts'
import type { RecentRevocation } from '../record/record.ts'
import { parseProgress } from '../record/redis-projection.ts'
import type { RedisLink } from '../redis/link.ts'
import type { RecordAnswer, RecordQuestion } from './record-question.ts'
import type { Standing } from './standing.ts'
import { RecordedError, type Trust, type Value } from './trust.ts'

export interface RecordTrustOptions {
  /** The way to the Redis of one shard. */
  link: RedisLink
  prefix: string
  standing: Standing
  /** Asks the record about look-ups whose marker is behind. */
  question: RecordQuestion
  /** Returns the revocations that the record was found to hold after the marker. They can only add refusals. */
  recent: () => ReadonlyMap<string, RecentRevocation>
  /** Gets `markerForgotten`. */
  events?: BlocklistEmitter | undefined
}

/** How old a recorded revocation is, in seconds, when the write of its entry has succeeded or failed. */
const writeSeconds = 0.5

/**
 * Trust by the record: each answer counts by the marker that is read in the same command. Where the marker is behind,
 * Postgres is asked as well. While answers do not count by the marker alone, the progress of a rebuild and the doubt
 * are read too, so that the error says when to ask again.
 */
export function createRecordTrust ({ link, prefix, standing, question, recent, events }: RecordTrustOptions): Trust {
  const keys = projectionKeys(prefix)
  let checkedIn: number | undefined

  async function readWithMarker (names: readonly string[], isSure: boolean): Promise<Value[]> {
    const look = standing.look()
    // Once on each connection, and after each doubt: a marker may have outlived what it stands for.
    if (look.epoch !== checkedIn) {
      await checkForLoss(link, prefix, events)
      checkedIn = look.epoch
    }
    const first = isSure ? [keys.marker] : [keys.marker, keys.progress, keys.doubt]
    const values = await link.read([...first, ...names.map(name => prefix + name)])
    const [marker, progress, doubt] = values
    const found = values.slice(first.length)
    if (!isSure) standing.noteProgress(parseProgress(progress ?? null))
    const behindAt = standing.accept(look, marker)
    if (behindAt === undefined) return refuseRecorded(found, names, recent(), writeSeconds)
    // The look-up did not read the doubt.
    if (isSure) return await readWithMarker(names, false)
    if (doubt !== null) throw standing.refuse('The blocklist is behind the record, and there is a doubt about it.')
    const answer = await askRecord(behindAt, names)
    standing.confirm(look, behindAt, answer.head)
    return refuseRecorded(found, names, answer.recent, -Infinity)
  }

  async function askRecord (position: number, names: readonly string[]): Promise<RecordAnswer> {
    try {
      return await question.ask(position, names)
    } catch {
      throw standing.refuse('The blocklist is behind the record, which cannot be asked.')
    }
  }

  return {
    read: names => readWithMarker(names, standing.trust === 'trusted'),
    refuses: () => false,
    async untilReady () { await readWithMarker([], false) }
  }
}

/**
 * Refuses the entries that are in the record and not in Redis, once they are so old. An age is below 0 after the clock
 * of Postgres was set back.
 */
function refuseRecorded (
  values: Value[], names: readonly string[], recorded: ReadonlyMap<string, RecentRevocation>, afterSeconds: number
): Value[] {
  if (recorded.size === 0) return values
  return values.map((value, index) => {
    const revocation = value === null ? recorded.get(names[index] as string) : undefined
    const isRefused = revocation !== undefined && !(revocation.ageSeconds < afterSeconds)
    return isRefused ? new RecordedError(revocation.ageSeconds) : value
  })
}
