import { advanceClaim, formatMarker, type LogPosition } from './marker.ts'
import type { Progress, Projection } from './projection.ts'
import type { LoggedRevocation, RevocationLog } from './revocation-log.ts'

export interface ReplayOptions {
  log: Pick<RevocationLog, 'readLive' | 'countRows'>
  projection: Projection
  /** Called after each page of rows, while there are more. */
  onPage: () => Promise<unknown>
}

/** What to write: the rows after the marker, or all when there is none, up to a head that is settled. */
export interface ReplayRange {
  /** What stands in the place of the marker: the marker, or a claim. */
  found: string
  from: LogPosition | undefined
  to: LogPosition
}

/** What the blocklist was brought up with. */
export interface Replay {
  /** Where it began; undefined when it began with nothing. */
  from: LogPosition | undefined
  to: LogPosition
  entries: number
  seconds: number
}

type Page = Awaited<ReturnType<RevocationLog['readLive']>>

/** Rows that are read at once. While they are written the next ones are read. */
const pageSize = 5_000
/** One step writes at most this many entries, so that it never keeps Redis from others for long. */
const maxEntriesPerStep = 1_000
/** What an entry is thought to take until it has shown what it takes. */
const guessedSecondsPerEntry = 15 / 1_000_000

/** Writes the rows of a range and moves the marker past them, step by step. Answers undefined when a step was refused. */
export async function replay ({ log, projection, onPage }: ReplayOptions, { found, from, to }: ReplayRange): Promise<Replay | undefined> {
  const startedAt = performance.now()
  const range = { after: from?.position ?? 0, upTo: to.position }
  // Only a replay that takes long tells how far it has come.
  const total = range.upTo - range.after > pageSize ? await log.countRows(range) : 0
  const nameAt = (position: number) => from === undefined ? advanceClaim(found, position) : formatMarker({ ...from, position })
  let current = found
  let entries = 0

  /** Each step goes on from where the one before it leaves off, so they can be sent without waiting for one another. */
  async function write (rows: LoggedRevocation[]): Promise<boolean> {
    const steps: Array<Promise<boolean>> = []
    for (let start = 0; start < rows.length; start += maxEntriesPerStep) {
      const chunk = rows.slice(start, start + maxEntriesPerStep)
      const next = nameAt((chunk.at(-1) as LoggedRevocation).position)
      entries += chunk.length
      steps.push(projection.advance(current, next, chunk, progressOf(entries, total, startedAt)))
      current = next
    }
    return (await Promise.all(steps)).every(Boolean)
  }

  for (let reading: Promise<Page> | undefined = log.readLive(range, pageSize); reading !== undefined;) {
    const { rows, next }: Page = await reading
    reading = next === undefined ? undefined : log.readLive({ ...range, after: next }, pageSize)
    // Whatever goes wrong below goes wrong first.
    reading?.catch(() => {})
    if (!await write(rows)) return undefined
    if (next !== undefined) await onPage()
  }
  if (!await projection.advance(current, formatMarker(to), [])) return undefined
  return { from, to, entries, seconds: (performance.now() - startedAt) / 1000 }
}

function progressOf (done: number, total: number, startedAt: number): Progress | undefined {
  if (total === 0) return undefined
  const secondsEach = done <= maxEntriesPerStep ? guessedSecondsPerEntry : (performance.now() - startedAt) / 1000 / done
  return { done, total: Math.max(total, done), remainingSeconds: Math.max(0, total - done) * secondsEach }
}
