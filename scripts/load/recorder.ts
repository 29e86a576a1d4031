import type { Histogram } from 'hdr-histogram-js'
import type { Exchange } from './http-client.ts'
import {
  corrected, createHistogram, distributionOf, expectedInterval, latenciesOf, recordLatency
} from './histogram.ts'
import { operations, type Operation } from './profiles.ts'
import type { OperationFigures, Point, Verdict } from './report.ts'
import { createRecentRequests, type Recent } from './recent.ts'
import { createTimeline } from './timeline.ts'

/** A request that could not be sent counts as having waited for a connection if it took this long. */
const shortestWaitMs = 100

/** Counts requests while it runs. Requests before and after are not counted. */
export interface Recorder {
  start (): void
  stop (): void
  /** @param latencyMs the time from when it was due, or began, to its end */
  record (operation: Operation, exchange: Exchange, latencyMs: number): void
  /** Counts a request that was due and not sent, because too many were waiting. */
  recordNotSent (): void
  /**
   * Records the answer to a request with a revoked token.
   *
   * @param askedAfterMs the time from the logout's answer to this request; undefined if it could not be sent
   */
  recordCheck (verdict: Verdict, askedAfterMs: number | undefined): void
  readonly figures: Figures
}

/** The figures so far. */
export interface Figures {
  readonly requests: number
  readonly failed: number
  readonly notSent: number
  readonly timeline: readonly Point[]
  readonly intervalSeconds: number
  readonly operations: Partial<Record<Operation, OperationFigures>>
  /** The figures of the last second. */
  readonly recent: Recent
  /** Returns the latencies of all requests. */
  sum (): Histogram
}

/** The counts of an operation. */
interface Count {
  requests: number
  statuses: Record<string, number>
  measured: Histogram
}

/** @param isCorrected true if latencies must be corrected for coordinated omission, as in a closed loop */
export function createRecorder ({ durationSeconds, isCorrected }: {
  durationSeconds: number, isCorrected: boolean
}): Recorder {
  const counts = new Map<Operation, Count>()
  const totals = { requests: 0, failed: 0, notSent: 0 }
  const recent = createRecentRequests()
  const timeline = createTimeline(durationSeconds, (operation, histogram) => correct(countOf(operation), histogram))

  function countOf (operation: Operation): Count {
    const count = counts.get(operation) ?? { requests: 0, statuses: {}, measured: createHistogram(3) }
    counts.set(operation, count)
    return count
  }

  /** Corrects latencies. The expected interval always comes from the whole run so far. */
  function correct ({ measured }: Count, histogram = measured): Histogram {
    if (!isCorrected) return histogram
    return corrected(histogram, expectedInterval(measured, [...counts.values()].map(({ measured }) => measured)))
  }

  return {
    start: timeline.start,
    stop: timeline.stop,
    record (operation, exchange, latencyMs) {
      if (!timeline.isRunning) return
      const { now } = timeline
      const count = countOf(operation)
      const status = String(exchange.status ?? exchange.failure)
      for (const sum of [count, totals]) sum.requests++
      increment(now.requests, operation)
      for (const { statuses } of [count, now]) increment(statuses, status)
      if (exchange.status === undefined || exchange.status >= 400) totals.failed++
      const isLatency = hasWaited(exchange, latencyMs)
      recent.record(isLatency ? latencyMs : undefined)
      if (!isLatency) return
      recordLatency(count.measured, latencyMs)
      timeline.recordLatency(operation, latencyMs)
    },
    recordNotSent () {
      if (!timeline.isRunning) return
      totals.notSent++
      timeline.now.notSent++
    },
    recordCheck (verdict, askedAfterMs) {
      if (!timeline.isRunning) return
      const { now } = timeline
      now.checks[verdict]++
      if (askedAfterMs !== undefined) now.lastAskedMs = Math.max(now.lastAskedMs ?? 0, askedAfterMs)
    },
    figures: {
      get requests () { return totals.requests },
      get failed () { return totals.failed },
      get notSent () { return totals.notSent },
      get recent () { return recent.now },
      timeline: timeline.points,
      intervalSeconds: timeline.intervalSeconds,
      get operations () {
        const describe = (count: Count) => figuresOf(count, correct(count), isCorrected)
        const sent = operations.filter(operation => counts.has(operation))
        return Object.fromEntries(sent.map(operation => [operation, describe(countOf(operation))]))
      },
      sum () {
        const all = createHistogram(3)
        for (const count of counts.values()) all.add(correct(count))
        return all
      }
    }
  }
}

function figuresOf (
  { requests, statuses, measured }: Count, histogram: Histogram, isCorrected: boolean
): OperationFigures {
  return {
    requests,
    statuses,
    latencyMs: latenciesOf(histogram),
    ...isCorrected && { measuredLatencyMs: latenciesOf(measured) },
    distribution: distributionOf(histogram)
  }
}

/** Returns false for a request that failed at once without a connection. Its latency would flatter the others. */
function hasWaited ({ askedAt }: Exchange, latencyMs: number): boolean {
  return askedAt !== undefined || latencyMs >= shortestWaitMs
}

function increment<Key extends string> (counts: Partial<Record<Key, number>>, key: Key): void {
  counts[key] = (counts[key] ?? 0) + 1
}
