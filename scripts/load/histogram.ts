import { build, type Histogram } from 'hdr-histogram-js'
import { requestMs } from './http-client.ts'

/** What waits in front of a request is part of its latency, so that may be longer than a request may take. */
const highestMicroseconds = 6 * requestMs * 1000

/** Latencies in microseconds. Three digits are for the whole run, two for each of its many intervals. */
export function createHistogram (digits: 2 | 3): Histogram {
  return build({ lowestDiscernibleValue: 1, highestTrackableValue: highestMicroseconds, numberOfSignificantValueDigits: digits, bitBucketSize: 32, useWebAssembly: false })
}

export function recordLatency (histogram: Histogram, latencyMs: number): void {
  histogram.recordValue(Math.min(Math.max(1, Math.round(latencyMs * 1000)), highestMicroseconds))
}

/**
 * What would have been measured if users had not waited for a slow answer before their next request: HdrHistogram's
 * correction for coordinated omission, with the usual latency as the interval at which requests were expected.
 */
export function corrected (histogram: Histogram, usual: Histogram = histogram): Histogram {
  const interval = usual.getValueAtPercentile(50)
  return histogram.totalCount === 0 || interval <= 0 ? histogram : histogram.copyCorrectedForCoordinatedOmission(interval)
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

/** Points of the distribution, from the median to as far as there are values: a percentile, and the latency in milliseconds. */
export function distributionOf (histogram: Histogram): [percentile: number, ms: number][] {
  const points: [number, number][] = []
  // Evenly spaced on the axis that HDR plots have, which is the logarithm of 1 / (1 - percentile).
  for (let tail = 1; histogram.totalCount > 0 && tail <= histogram.totalCount; tail *= 10 ** (1 / 16)) {
    const percentile = 100 * (1 - 1 / tail)
    points.push([percentile, toMs(histogram.getValueAtPercentile(percentile))])
  }
  return points
}
