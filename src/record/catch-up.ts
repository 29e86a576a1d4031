import type { CatchUp } from '../events/blocklist-events.ts'
import { withDeadline } from '../timing/deadline.ts'
import { advanceDraft, formatMarker, type RecordPosition } from './marker.ts'
import type { Progress, ProjectionShard } from './projection.ts'
import type { RecordRow, PositionRange, RevocationRecord } from './record.ts'

export interface CatchUpOptions {
  record: Pick<RevocationRecord, 'readLive' | 'countRows'>
  /** Called after each page of rows, except the last one. */
  onPage: () => Promise<unknown>
  /** Once it is aborted, no further page is written. Markers and draft markers stay where they are. */
  stopping: AbortSignal
  /**
   * The longest time for writing one page to a shard, in milliseconds. A shard that takes longer is left behind.
   * Unlimited if left out.
   */
  stepDeadlineMs?: number | undefined
}

/** A shard that is behind the record. */
export interface Lag {
  shard: ProjectionShard
  /** The text in the marker key: a marker or a draft marker. */
  found: string
  /** The marker. Undefined if there is a draft marker, so that all live rows have to be written. */
  from: RecordPosition | undefined
}

/** The result of catching up. A shard that is left behind does not hold up the others. */
export interface CatchUpEnd {
  /** The revocations that were written. Undefined if every shard was left behind, or if `stopping` was aborted. */
  catchUp: CatchUp | undefined
  /** True if a shard refused a step, because its marker was changed meanwhile. That shard has to start over. */
  wasRefused: boolean
  /** The first error that left a shard behind, if there is one. */
  failure: unknown
}

type Page = Awaited<ReturnType<RevocationRecord['readLive']>>

/** The number of rows in a page. The next page is read while this one is written. */
const pageSize = 5_000
/** The largest number of entries in one step, so that no script blocks Redis for long. */
const maxEntriesPerStep = 1_000
/** The estimated time for one entry, until the first page was measured. */
const guessedSecondsPerEntry = 15 / 1_000_000

/** Returns true if all live rows have to be written, or more positions than a page has rows. */
export function isFarBehind (from: RecordPosition | undefined, to: RecordPosition): boolean {
  return from === undefined || to.position - from.position > pageSize
}

/**
 * Writes to each shard its rows after its marker, up to a settled head, and moves the marker past them step by step. A
 * shard without a marker gets all of its live rows. The record is read once for all shards.
 *
 * A shard whose step is refused or fails is left behind, with a marker that is true of what was written. Rejects when
 * the record cannot be read, or when `onPage` rejects.
 */
export async function catchUp (
  { record, onPage, stopping, stepDeadlineMs }: CatchUpOptions,
  lags: readonly Lag[],
  to: RecordPosition
): Promise<CatchUpEnd> {
  const startedAt = performance.now()
  const range = { after: Math.min(...lags.map(({ from }) => from?.position ?? 0)), upTo: to.position }
  // Only catching up by more than a page reports its progress.
  const total = range.upTo - range.after > pageSize ? await countRows(record, range) : 0
  const end: CatchUpEnd = { catchUp: undefined, wasRefused: false, failure: undefined }
  let entries = 0
  let writingSince = startedAt
  let writers = lags.map(lag => createWriter(lag))

  /** Writes to every shard, and drops those that refuse or fail. */
  async function keep (write: (writer: ShardWriter) => Promise<boolean>): Promise<void> {
    const done = await Promise.allSettled(
      writers.map(writer =>
        stepDeadlineMs === undefined ? write(writer) : withDeadline(write(writer), stepDeadlineMs)
      )
    )
    writers = writers.filter((_, index) => {
      const step = done[index]
      if (step?.status === 'fulfilled' && step.value) return true
      if (step?.status === 'rejected') end.failure ??= step.reason
      else end.wasRefused = true
      return false
    })
  }

  for (let reading: Promise<Page> | undefined = record.readLive(range, pageSize); reading !== undefined;) {
    const { rows, next }: Page = await reading
    if (stopping.aborted) return end
    if (entries === 0) writingSince = performance.now()
    reading = next === undefined ? undefined : record.readLive({ ...range, after: next }, pageSize)
    // It is awaited in the next turn of this loop. If something else fails first, it must not end the process.
    reading?.catch(() => {})
    const secondsEach = entries === 0 ? guessedSecondsPerEntry : secondsSince(writingSince) / entries
    await keep(writer => writer.write(rows, count => progressOf(entries + count, total, secondsEach)))
    entries += rows.length
    if (writers.length === 0) return end
    if (next !== undefined) await onPage()
  }
  await keep(writer => writer.finish(to))
  if (writers.length > 0) {
    const from = lags.every(({ from }) => from !== undefined) ? { ...to, position: range.after } : undefined
    end.catchUp = { from, to, entries, seconds: secondsSince(startedAt) }
  }
  return end
}

/**
 * Counts the rows of a range. If the database does not do that within its deadline, returns the number of positions,
 * which is close when few rows have expired.
 */
async function countRows (record: CatchUpOptions['record'], range: PositionRange): Promise<number> {
  try {
    return await record.countRows(range)
  } catch {
    return range.upTo - range.after
  }
}

interface ShardWriter {
  /** Writes the rows of a page that belong to the shard. Resolves to false if a step was refused. */
  write (rows: readonly RecordRow[], progressAt: (rows: number) => Progress | undefined): Promise<boolean>
  /** Moves the marker to the end, or replaces the draft marker by a marker. Resolves to false if that was refused. */
  finish (to: RecordPosition): Promise<boolean>
}

function createWriter ({ shard: { projection, includes }, found, from }: Lag): ShardWriter {
  let current = found
  const nameAt = (position: number) =>
    from === undefined ? advanceDraft(found, position) : formatMarker({ ...from, position })

  /** Sends one step. It expects the marker that the step before it leaves, so steps do not wait for one another. */
  function advance (rows: readonly RecordRow[], progress: Progress | undefined): Promise<boolean> {
    const next = nameAt((rows.at(-1) as RecordRow).position)
    const step = projection.advance(current, next, rows, progress)
    current = next
    return step
  }

  return {
    async write (page, progressAt) {
      const rows = page.filter(row => row.position > (from?.position ?? 0) && includes(row))
      const steps: Array<Promise<boolean>> = []
      for (let start = 0; start < rows.length; start += maxEntriesPerStep) {
        const chunk = rows.slice(start, start + maxEntriesPerStep)
        // Progress counts rows of the record, including those of other shards.
        steps.push(advance(chunk, progressAt(Math.round(page.length * (start + chunk.length) / rows.length))))
      }
      return (await Promise.all(steps)).every(Boolean)
    },
    finish: to => projection.advance(current, formatMarker(to), [])
  }
}

function progressOf (done: number, total: number, secondsEach: number): Progress | undefined {
  if (total === 0) return undefined
  return { done, total: Math.max(total, done), remainingSeconds: Math.max(0, total - done) * secondsEach }
}

function secondsSince (time: number): number {
  return (performance.now() - time) / 1000
}
