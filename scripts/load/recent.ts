import type { Histogram } from 'hdr-histogram-js'
import { createHistogram, recordLatency } from './histogram.ts'

/** The figures cover this many slices of this length, and the slice that has begun. */
const sliceMs = 250
const wholeSlices = 4

/** The figures of the last second, for the user who watches. Latencies are as measured. */
export interface Recent {
  requestsPerSecond: number
  /** Undefined while nothing was answered. */
  p99Ms: number | undefined
}

export interface RecentRequests {
  /** @param latencyMs undefined for a request that did not wait for anything */
  record (latencyMs: number | undefined): void
  readonly now: Recent
}

interface Slice { at: number, requests: number, latencies: Histogram }

/** Creates a memory of the requests of the last second, regardless of the intervals of the timeline. */
export function createRecentRequests (now = () => performance.now()): RecentRequests {
  const startedAt = now()
  let slices: Slice[] = []
  const indexNow = () => Math.floor((now() - startedAt) / sliceMs)

  function sliceNow (): Slice {
    const at = indexNow()
    const last = slices.at(-1)
    if (last?.at === at) return last
    const slice = { at, requests: 0, latencies: createHistogram(2) }
    slices = [...slices.filter(slice => slice.at >= at - wholeSlices), slice]
    return slice
  }

  return {
    record (latencyMs) {
      const slice = sliceNow()
      slice.requests++
      if (latencyMs !== undefined) recordLatency(slice.latencies, latencyMs)
    },
    get now () {
      const first = Math.max(0, indexNow() - wholeSlices)
      const latencies = createHistogram(2)
      let requests = 0
      for (const slice of slices.filter(({ at }) => at >= first)) {
        requests += slice.requests
        latencies.add(slice.latencies)
      }
      const seconds = (now() - startedAt - first * sliceMs) / 1000
      return {
        requestsPerSecond: seconds > 0 ? requests / seconds : 0,
        p99Ms: latencies.totalCount > 0 ? latencies.getValueAtPercentile(99) / 1000 : undefined
      }
    }
  }
}
