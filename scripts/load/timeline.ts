import type { Histogram } from 'hdr-histogram-js'
import { createHistogram, latenciesOf, recordLatency } from './histogram.ts'
import type { Operation } from './profiles.ts'
import type { Point } from './report.ts'

/** The largest number of points, regardless of the duration of the run. */
const maxPoints = 600
/** The largest number of further points: the last requests may be answered after the end. */
const maxLatePoints = 60

/** The run in intervals of the same length. */
export interface Timeline {
  readonly points: readonly Point[]
  readonly intervalSeconds: number
  start (): void
  stop (): void
  readonly isRunning: boolean
  /** The current interval. While the timeline does not run, it is not kept. */
  readonly now: Point
  recordLatency (operation: Operation, latencyMs: number): void
}

/** @param correct returns the corrected latencies of an operation, before they are summed up */
export function createTimeline (
  durationSeconds: number, correct: (operation: Operation, histogram: Histogram) => Histogram
): Timeline {
  const intervalSeconds = Math.max(1, Math.ceil(durationSeconds / maxPoints))
  const points: Point[] = []
  const histograms = new Map<Operation, Histogram>()
  let startedAt: number | undefined
  let isStopped = false
  let point = createPoint(0)

  const elapsedSeconds = () => (performance.now() - (startedAt ?? performance.now())) / 1000

  /** Returns the index of the current interval. */
  function indexNow (): number {
    const elapsed = elapsedSeconds()
    const index = Math.floor(elapsed / intervalSeconds)
    // Answers that are a little late belong to the last interval.
    return elapsed < durationSeconds + intervalSeconds / 2
      ? Math.min(index, Math.ceil(durationSeconds / intervalSeconds) - 1)
      : index
  }

  /** Closes the intervals that are over. */
  function advance (): void {
    if (isStopped) return
    while (point.atSeconds < indexNow() * intervalSeconds && points.length < maxPoints + maxLatePoints) {
      close(intervalSeconds)
      point = createPoint(points.length * intervalSeconds)
    }
  }

  function close (seconds: number): void {
    const all = createHistogram(2)
    for (const [operation, histogram] of histograms) all.add(correct(operation, histogram))
    histograms.clear()
    points.push(Object.assign(point, { seconds, latencyMs: latenciesOf(all) }))
  }

  return {
    points,
    intervalSeconds,
    start () { startedAt = performance.now() },
    stop () {
      advance()
      if (!isStopped) close(elapsedSeconds() - point.atSeconds)
      isStopped = true
      point = createPoint(0)
    },
    get isRunning () { return startedAt !== undefined && !isStopped },
    get now () {
      advance()
      return point
    },
    recordLatency (operation, latencyMs) {
      advance()
      const histogram = histograms.get(operation) ?? createHistogram(2)
      histograms.set(operation, histogram)
      recordLatency(histogram, latencyMs)
    }
  }
}

function createPoint (atSeconds: number): Point {
  return {
    atSeconds,
    seconds: 0,
    requests: {},
    statuses: {},
    notSent: 0,
    latencyMs: undefined,
    checks: { refused: 0, accepted: 0, unavailable: 0, inconclusive: 0 },
    lastAskedMs: undefined
  }
}
