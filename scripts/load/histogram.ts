import { build, type Histogram } from 'hdr-histogram-js'

/** What waits in front of a request is part of its latency, so that may be much longer than a request may take. */
const highestMicroseconds = 3_600_000_000

/** Latencies in microseconds. Three digits are for the whole run, two for each of its many intervals. */
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
 * How long it usually is from one request of this kind to the same user's next, in microseconds: what the requests of
 * all kinds take in between, each at the median of its kind. A kind that is rare is expected rarely. Medians, since a
 * stall must not stretch what it is measured against.
 *
 * @param all the latencies of each kind of request, of this one too
 */
export function expectedInterval (histogram: Histogram, all: Iterable<Histogram>): number {
  let usualTotal = 0
  for (const kind of all) usualTotal += kind.totalCount * kind.getValueAtPercentile(50)
  return histogram.totalCount === 0 ? Infinity : usualTotal / histogram.totalCount
}

/**
 * What would have been measured if users had not waited for a slow answer before their next request: HdrHistogram's
 * correction for coordinated omission.
 *
 * @param intervalMicroseconds at which a user's requests of this kind were expected
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

/** In milliseconds; undefined where nothing was recorded. */
export function latenciesOf (histogram: Histogram): Latencies | undefined {
  if (histogram.totalCount === 0) return undefined
  const at = (percentile: number) => toMs(histogram.getValueAtPercentile(percentile))
  return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: toMs(histogram.maxValue) }
}

/**
 * Points of the distribution, from the median to as far as there are values: a percentile, and the latency in
 * milliseconds.
 */
export function distributionOf (histogram: Histogram): [percentile: number, ms: number][] {
  const points: [number, number][] = []
  // Evenly spaced on the axis that HDR plots have, which is the logarithm of 1 / (1 - percentile).
  for (let projector = 1; histogram.totalCount > 0 && projector <= histogram.totalCount; projector *= 10 ** (1 / 16)) {
    const percentile = 100 * (1 - 1 / projector)
    points.push([percentile, toMs(histogram.getValueAtPercentile(percentile))])
  }
  return points
}
