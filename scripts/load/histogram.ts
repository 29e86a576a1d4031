import { build, type Histogram } from 'hdr-histogram-js'

/**
 * The highest latency that is recorded. Latency includes the wait before a request, so it may exceed the bound of a
 * request.
 */
const highestMicroseconds = 3_600_000_000

/**
 * Creates a histogram of latencies in microseconds.
 *
 * @param digits the significant digits: 3 for the whole run, 2 for each of its many intervals
 */
export function createHistogram (digits: 2 | 3): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: highestMicroseconds,
    numberOfSignificantValueDigits: digits,
    bitBucketSize: 32,
    useWebAssembly: false
  })
}

export function recordLatency (histogram: Histogram, latencyMs: number): void {
  histogram.recordValue(Math.min(Math.max(1, Math.round(latencyMs * 1000)), highestMicroseconds))
}

/**
 * Returns the usual time from one request of this kind to the next one by the same user, in microseconds. It is what
 * the requests of all kinds take in between, each at the median of its kind. So a rare kind has a long interval.
 * Medians are used because a stall must not stretch the interval that it is measured against.
 *
 * @param all the latencies of each kind of request, this one included
 */
export function expectedInterval (histogram: Histogram, all: Iterable<Histogram>): number {
  let usualTotal = 0
  for (const kind of all) usualTotal += kind.totalCount * kind.getValueAtPercentile(50)
  return histogram.totalCount === 0 ? Infinity : usualTotal / histogram.totalCount
}

/**
 * Returns the latencies as if users had not waited for a slow answer before their next request. This is HdrHistogram's
 * correction for coordinated omission.
 *
 * @param intervalMicroseconds the expected time from one request of this kind to the next one by the same user
 */
export function corrected (histogram: Histogram, intervalMicroseconds: number): Histogram {
  const interval = Math.round(intervalMicroseconds)
  return interval > 0 && Number.isFinite(interval) ? histogram.copyCorrectedForCoordinatedOmission(interval) : histogram
}

export interface Latencies {
  p50: number
  p90: number
  p99: number
  p999: number
  max: number
}

const toMs = (microseconds: number) => Math.round(microseconds) / 1000

/** Returns the latencies in milliseconds, or undefined if there are none. */
export function latenciesOf (histogram: Histogram): Latencies | undefined {
  if (histogram.totalCount === 0) return undefined
  const at = (percentile: number) => toMs(histogram.getValueAtPercentile(percentile))
  return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: toMs(histogram.maxValue) }
}

/**
 * Returns points of the distribution, from percentile 0 to as far as there are values. Each is a percentile and its
 * latency in milliseconds.
 */
export function distributionOf (histogram: Histogram): [percentile: number, ms: number][] {
  const points: [number, number][] = []
  // Evenly spaced on the axis of HDR plots, which is the logarithm of 1 / (1 - percentile).
  for (let inverse = 1; histogram.totalCount > 0 && inverse <= histogram.totalCount; inverse *= 10 ** (1 / 16)) {
    const percentile = 100 * (1 - 1 / inverse)
    points.push([percentile, toMs(histogram.getValueAtPercentile(percentile))])
  }
  return points
}
