import type { Histogram } from 'hdr-histogram-js'
import type { Exchange } from './http-client.ts'
import { corrected, createHistogram, distributionOf, latenciesOf, recordLatency } from './histogram.ts'
import { operations, type Operation } from './profiles.ts'
import type { OperationFigures, Point, Verdict } from './report.ts'

/** The timeline has at most this many points, however long the run is. */
const maxPoints = 600
/** Of a second that is without an end, since requests are still under way after it, this many more points are kept. */
const maxLatePoints = 60

export interface Recorder {
  /** Begins the timeline. What is recorded before counts for nothing. */
  start (): void
  /** Ends it. What is recorded after that counts for nothing. */
  stop (): void
  /** @param latencyMs from when it was due, or began, to its end */
  record (operation: Operation, exchange: Exchange, latencyMs: number): void
  /** A request that was due, and could not be sent: too many were waiting already. */
  recordNotSent (): void
  /** An answer to a request with a token that had ended. @param askedAfterMs how long after the logout's answer it was asked */
  recordCheck (verdict: Verdict, askedAfterMs: number): void
  readonly figures: Figures
}

/** What has come together so far. */
export interface Figures {
  readonly requests: number
  readonly failed: number
  readonly notSent: number
  readonly timeline: readonly Point[]
  /** Of one operation, or of all of them. */
  histogramOf (operation?: Operation): Histogram
  readonly operations: Partial<Record<Operation, OperationFigures>>
  readonly intervalSeconds: number
}

/** An interval of the timeline, while it lasts. */
interface Interval {
  point: Point
  histograms: Map<Operation, Histogram>
}

/** @param isCorrected whether latencies still have to be corrected for coordinated omission, as in a closed loop */
export function createRecorder ({ durationSeconds, isCorrected }: { durationSeconds: number, isCorrected: boolean }): Recorder {
  const intervalSeconds = Math.max(1, Math.ceil(durationSeconds / maxPoints))
  const raw = new Map(operations.map(operation => [operation, createHistogram(3)]))
  const counts = new Map<Operation, { requests: number, statuses: Record<string, number> }>()
  const timeline: Point[] = []
  const totals = { requests: 0, failed: 0, notSent: 0 }
  let startedAt: number | undefined
  let isStopped = false
  let interval = createInterval(0)

  const elapsed = () => (performance.now() - (startedAt ?? performance.now())) / 1000

  /** The interval of this moment; those before it are put on record. */
  function current (): Interval {
    const elapsedSeconds = elapsed()
    // The answers to the last requests come a little late, and are no interval of their own.
    const index = elapsedSeconds < durationSeconds + intervalSeconds / 2
      ? Math.min(Math.floor(elapsedSeconds / intervalSeconds), Math.ceil(durationSeconds / intervalSeconds) - 1)
      : Math.floor(elapsedSeconds / intervalSeconds)
    while (interval.point.atSeconds < index * intervalSeconds && timeline.length < maxPoints + maxLatePoints) {
      close(intervalSeconds)
      interval = createInterval((timeline.length) * intervalSeconds)
    }
    return interval
  }

  function close (seconds: number): void {
    const all = createHistogram(2)
    for (const [operation, histogram] of interval.histograms) {
      all.add(isCorrected ? corrected(histogram, raw.get(operation)) : histogram)
    }
    interval.point.seconds = seconds
    interval.point.latencyMs = latenciesOf(all)
    timeline.push(interval.point)
  }

  function histogramOf (operation?: Operation): Histogram {
    const all = createHistogram(3)
    for (const [name, histogram] of raw) {
      if (operation === undefined || name === operation) all.add(isCorrected ? corrected(histogram) : histogram)
    }
    return all
  }

  function operationFigures (operation: Operation, { requests, statuses }: { requests: number, statuses: Record<string, number> }): OperationFigures {
    const measured = raw.get(operation) as Histogram
    const histogram = histogramOf(operation)
    return { requests, statuses, latencyMs: latenciesOf(histogram), ...isCorrected && { measuredLatencyMs: latenciesOf(measured) }, distribution: distributionOf(histogram) }
  }

  return {
    start () { startedAt = performance.now() },
    stop () {
      current()
      if (!isStopped) close(elapsed() - interval.point.atSeconds)
      isStopped = true
    },
    record (operation, exchange, latencyMs) {
      if (startedAt === undefined || isStopped) return
      const { point, histograms } = current()
      const status = String(exchange.status ?? exchange.failure)
      const count = counts.get(operation) ?? { requests: 0, statuses: {} }
      counts.set(operation, count)
      count.requests++
      count.statuses[status] = (count.statuses[status] ?? 0) + 1
      point.requests[operation] = (point.requests[operation] ?? 0) + 1
      point.statuses[status] = (point.statuses[status] ?? 0) + 1
      totals.requests++
      if (exchange.status === undefined || exchange.status >= 400) totals.failed++
      // What was refused before it was asked took no time, and would flatter the rest.
      if (exchange.status === undefined && exchange.failure !== 'timeout') return
      if (!histograms.has(operation)) histograms.set(operation, createHistogram(2))
      recordLatency(histograms.get(operation) as Histogram, latencyMs)
      recordLatency(raw.get(operation) as Histogram, latencyMs)
    },
    recordNotSent () {
      if (isStopped) return
      totals.notSent++
      current().point.notSent++
    },
    recordCheck (verdict, askedAfterMs) {
      if (startedAt === undefined || isStopped) return
      const { point } = current()
      point.checks[verdict]++
      point.lastAskedMs = Math.max(point.lastAskedMs ?? 0, askedAfterMs)
    },
    figures: {
      get requests () { return totals.requests },
      get failed () { return totals.failed },
      get notSent () { return totals.notSent },
      timeline,
      histogramOf,
      get operations () {
        return Object.fromEntries(operations.flatMap(operation => {
          const count = counts.get(operation)
          return count === undefined ? [] : [[operation, operationFigures(operation, count)]]
        }))
      },
      intervalSeconds
    }
  }
}

function createInterval (atSeconds: number): Interval {
  return {
    point: { atSeconds, seconds: 0, requests: {}, statuses: {}, notSent: 0, latencyMs: undefined, checks: { refused: 0, accepted: 0, unavailable: 0, inconclusive: 0 }, lastAskedMs: undefined },
    histograms: new Map()
  }
}
