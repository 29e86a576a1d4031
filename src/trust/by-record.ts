import type { BlocklistEmitter } from '../events/blocklist-events.ts'
import { everyoneName } from '../entries/revocation.ts'
import { checkForLoss } from '../record/losses.ts'
import { projectionKeys } from '../record/marker.ts'
import type { RecentRevocation } from '../record/record.ts'
import { parseProgress } from '../record/redis-projection.ts'
import type { RedisLink } from '../redis/link.ts'
import type { RecordAnswer, RecordQuestion } from './record-question.ts'
import type { Standing } from './standing.ts'
import { RecordedError, type Trust, type Value } from './trust.ts'
import { untilPassed } from './until-passed.ts'

export interface RecordTrustOptions {
  /** The link to the server that has the shard. */
  link: RedisLink
  prefix: string
  standing: Standing
  /** Asks the record about look-ups whose marker is behind. */
  question: RecordQuestion
  /**
   * Returns the revocations after the marker, as the last poll of the record found them. They can only add refusals.
   */
  recent: () => ReadonlyMap<string, RecentRevocation>
  /**
   * For a blocklist whose revocations of subjects and of everyone are compared with `iat`: by how many seconds clocks
   * may differ. `untilReady` then waits until the last of them has passed.
   */
  instantsLeewaySeconds?: number | undefined
  /** Emits `markerForgotten`. */
  events?: BlocklistEmitter | undefined
}

/** The age of a recorded revocation, in seconds, by which the write of its entry has succeeded or failed. */
const writeSeconds = 0.5

/**
 * Creates trust by the record: each answer counts by the marker that is read in the same command. If the marker is
 * behind, Postgres is asked as well. While answers do not count by the marker alone, the doubt and the progress of a
 * rebuild are read too. The error then says when to ask again.
 */
export function createRecordTrust (options: RecordTrustOptions): Trust {
  const { link, prefix, standing, question, recent, instantsLeewaySeconds, events } = options
  const keys = projectionKeys(prefix)
  let checkedIn: number | undefined

  async function readWithMarker (names: readonly string[], isSure: boolean): Promise<Value[]> {
    const look = standing.look()
    // Once for each connection, and again after each loss of trust: the marker may have outlived its entries.
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
    // This look-up has not read the doubt.
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
    async untilReady (name) {
      if (instantsLeewaySeconds === undefined) {
        await readWithMarker([], false)
        return
      }
      const names = name === undefined ? [everyoneName] : [everyoneName, name]
      await untilPassed(instantsLeewaySeconds, async () => {
        const values = await readWithMarker(names, false)
        return Math.max(...values.map(toInstant))
      })
    }
  }
}

/**
 * Refuses the entries that are missing in Redis and have been in the record for so many seconds. An age is negative
 * after the clock of Postgres was set back.
 */
function refuseRecorded (
  values: Value[], names: readonly string[], recorded: ReadonlyMap<string, RecentRevocation>, afterSeconds: number
): Value[] {
  if (recorded.size === 0) return values
  return values.map((value, index) => {
    const revocation = recorded.get(names[index] as string)
    if (revocation === undefined || value instanceof Error || isWritten(value, revocation)) return value
    if (revocation.ageSeconds < afterSeconds) return value
    return new RecordedError(revocation.ageSeconds, revocation.issuedBefore, Number(value ?? 0))
  })
}

/** Returns true if the value of an entry says all that the record does. An instant may be replaced by a later one. */
function isWritten (value: string | null, { issuedBefore }: RecentRevocation): boolean {
  return value !== null && !(issuedBefore !== undefined && Number(value) < issuedBefore)
}

/** Returns the instant that an entry holds, or the later one that the record has; 0 if there is no entry. */
function toInstant (value: Value): number {
  if (value instanceof RecordedError) return value.issuedBefore ?? 0
  if (value instanceof Error) throw value
  return Number(value ?? 0)
}
