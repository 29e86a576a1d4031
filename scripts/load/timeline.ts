import type { Histogram } from 'hdr-histogram-js'
import { createHistogram, latenciesOf, recordLatency } from './histogram.ts'
import type { Operation } from './profiles.ts'
import type { Point } from './report.ts'

/** The timeline has at most this many points, however long the run is. */
const maxPoints = 600
/** The last requests may be answered after the end: this many more points are kept. */
const maxLatePoints = 60

/** The run in intervals of the same length. */
export interface Timeline {
  readonly points: readonly Point[]
  readonly intervalSeconds: number
  start (): void
  stop (): void
  readonly isRunning: boolean
  /** The interval of this moment. What comes while it does not run is not kept. */
  readonly now: Point
  recordLatency (operation: Operation, latencyMs: number): void
}

/** @param correct what is done to the latencies of an operation before they are summed up */
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

  /** Where in the timeline this moment is. */
  function indexNow (): number {
    const elapsed = elapsedSeconds()
    const index = Math.floor(elapsed / intervalSeconds)
    // The answers to the last requests come a little late, and are no interval of their own.
    return elapsed < durationSeconds + intervalSeconds / 2
      ? Math.min(index, Math.ceil(durationSeconds / intervalSeconds) - 1)
      : index
  }

  /** Puts the intervals on record that are over. */
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
