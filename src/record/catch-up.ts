import type { CatchUp } from '../events/blocklist-events.ts'
import { withDeadline } from '../timing/deadline.ts'
import { advanceDraft, formatMarker, type RecordPosition } from './marker.ts'
import type { Progress, ProjectionShard } from './projection.ts'
import type { RecordRow, PositionRange, RevocationRecord } from './record.ts'

export interface CatchUpOptions {
  record: Pick<RevocationRecord, 'readLive' | 'countRows'>
  /** Called after each page of rows, while there are more. */
  onPage: () => Promise<unknown>
  /** Once it is aborted, nothing is begun any more: the markers and drafts stay where they are. */
  stopping: AbortSignal
  /**
   * How long a step may take before its shard is left behind, in milliseconds; as long as it likes when it is left out.
   */
  stepDeadlineMs?: number | undefined
}

/** A shard that is behind the record, and where it is. */
export interface Lag {
  shard: ProjectionShard
  /** What stands in the place of the marker: the marker, or a draft. */
  found: string
  from: RecordPosition | undefined
}

/** How catching up ended. The shards that were left behind do not keep the others from theirs. */
export interface CatchUpEnd {
  /** What was done, unless no shard came through, or it was stopped before. */
  catchUp: CatchUp | undefined
  /** Whether a step of any shard was refused: somebody else was at it, and it has to start over. */
  wasRefused: boolean
  /** What kept a shard from its part, if anything did. */
  failure: unknown
}

type Page = Awaited<ReturnType<RevocationRecord['readLive']>>

/** Rows that are read at once. While they are written the next ones are read. */
const pageSize = 5_000
/** One step writes at most this many entries, so that it never keeps Redis from others for long. */
const maxEntriesPerStep = 1_000
/** What an entry is thought to take until it has shown what it takes. */
const guessedSecondsPerEntry = 15 / 1_000_000

/** Whether there is so much to write that it takes more than a moment. */
export function isFarBehind (from: RecordPosition | undefined, to: RecordPosition): boolean {
  return from === undefined || to.position - from.position > pageSize
}

/**
 * Writes to each shard the rows after its marker that belong to it, or all when it has none, up to a head that is
 * settled, and moves its marker past them, step by step. The record is read once for all of them.
 */
export async function catchUp (
  { record, onPage, stopping, stepDeadlineMs }: CatchUpOptions,
  lags: readonly Lag[],
  to: RecordPosition
): Promise<CatchUpEnd> {
  const startedAt = performance.now()
  const range = { after: Math.min(...lags.map(({ from }) => from?.position ?? 0)), upTo: to.position }
  // Only what takes long tells how far it has come.
  const total = range.upTo - range.after > pageSize ? await countRows(record, range) : 0
  const end: CatchUpEnd = { catchUp: undefined, wasRefused: false, failure: undefined }
  let entries = 0
  let writingSince = startedAt
  let writers = lags.map(lag => createWriter(lag))

  /** Each step of each, of which those drop out that are refused or fail. */
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
    // Whatever goes wrong below goes wrong first.
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
 * Counting many rows may take longer than a statement may. The positions are as good a guess where few rows have
 * expired.
 */
async function countRows (record: CatchUpOptions['record'], range: PositionRange): Promise<number> {
  try {
    return await record.countRows(range)
  } catch {
    return range.upTo - range.after
  }
}

interface ShardWriter {
  /** Writes those of a page that belong to the shard. Answers false when it was refused. */
  write (rows: readonly RecordRow[], progressAt: (rows: number) => Progress | undefined): Promise<boolean>
  /** Moves the marker to the end, or puts it where a draft was. */
  finish (to: RecordPosition): Promise<boolean>
}

function createWriter ({ shard: { projection, includes }, found, from }: Lag): ShardWriter {
  let current = found
  const nameAt = (position: number) =>
    from === undefined ? advanceDraft(found, position) : formatMarker({ ...from, position })

  /** Each step goes on from where the one before it leaves off, so they can be sent without waiting for one another. */
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
        // How far it has come is told in rows of the record, of which some belong to others.
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
