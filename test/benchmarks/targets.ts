import type { Measurement } from './measure.ts'
import type { BenchResult } from './report.ts'
import { spreadOf, type Spread } from './statistics.ts'
import type { Algorithm } from './tokens.ts'
import type { VariantName } from './variants.ts'

/** A figure that must be reached, and what was measured. */
export interface Judgement {
  what: string
  limit: string
  measured: string
  isReached: boolean
}

const text = ({ median, min, max }: Spread, digits: number) => `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`

/** Every figure for which there are measurements. The median decides. */
export function judge (result: BenchResult): Judgement[] {
  return [...judgeCells(result), ...judgeSizes(result), ...judgeMemory(result), ...judgeStorm(result), ...judgeReplay(result)]
}

function judgeCells ({ cells }: BenchResult): Judgement[] {
  const find = (variant: VariantName, connections: number, algorithm: Algorithm) => cells
    .find(cell => cell.variant === variant && cell.connections === connections && cell.algorithm === algorithm)?.measurements
  /** Of what was measured in the same round, since the machine is not the same in another. */
  const ratio = (what: string, limit: number, field: keyof Measurement, against: VariantName, connections: number): Judgement[] => {
    const [ours, theirs] = [find('signout', connections, 'EdDSA'), find(against, connections, 'EdDSA')]
    if (ours === undefined || theirs === undefined) return []
    const ratios = spreadOf(ours.map((each, round) => each[field] / (theirs[round]?.[field] ?? NaN)))
    return [{ what, limit: `at most ${limit.toFixed(2)} ×`, measured: `${text(ratios, 2)} ×`, isReached: ratios.median <= limit }]
  }
  return [
    ...ratio('signout, EdDSA, all checks, 50 connections: CPU per request against `@fastify/jwt` alone, its own cache on, no revocation check', 0.8, 'cpuMicros', 'jwt', 50),
    ...ratio('the same against one `EXISTS` per request with the same key and cache', 0.65, 'cpuMicros', 'exists', 50),
    ...ratio('the same against a route with no authentication at all', 1.4, 'cpuMicros', 'open', 50),
    ...ratio('Redis\' own CPU per request against one `EXISTS` per request', 0.3, 'redisMicros', 'exists', 50),
    ...ratio('one connection, no batching to be had: latency p50 against one `EXISTS` per request', 1.05, 'p50', 'exists', 1)
  ]
}

/** The one that differs most from an empty blocklist. */
function judgeSizes ({ sizes }: BenchResult): Judgement[] {
  if (sizes === undefined) return []
  const [empty = [], ...others] = Object.values(sizes)
  const worst = others
    .map(measurements => spreadOf(measurements.map(({ cpuMicros }, round) => cpuMicros / (empty[round]?.cpuMicros ?? NaN))))
    .toSorted((a, b) => Math.abs(b.median - 1) - Math.abs(a.median - 1))[0]
  if (worst === undefined) return []
  return [{
    what: `a blocklist of ${Object.keys(sizes).join(', ')} entries: CPU per request, the one that differs most from the empty one`,
    limit: '0.95 to 1.05 ×',
    measured: `${text(worst, 3)} ×`,
    isReached: Math.abs(worst.median - 1) <= 0.05
  }]
}

function judgeMemory ({ bytesPerLogout }: BenchResult): Judgement[] {
  if (bytesPerLogout === undefined) return []
  return [{ what: 'Redis memory per logout, the `jti` and the `sid` entry together', limit: 'at most 300 bytes', measured: `${bytesPerLogout.toFixed(0)} bytes`, isReached: bytesPerLogout <= 300 }]
}

function judgeStorm ({ service }: BenchResult): Judgement[] {
  if (service === undefined) return []
  const ratios = spreadOf(service.rounds.map(({ idle, storm }) => storm.p99 / idle.p99))
  const delays = spreadOf(service.rounds.map(({ delayP99Ms }) => delayP99Ms))
  return [
    { what: 'p99 of `GET /me` while a login storm keeps argon2 saturated, against its idle p99 at the same request rate', limit: 'at most 4 ×', measured: `${text(ratios, 1)} ×`, isReached: ratios.median <= 4 },
    { what: 'event-loop delay p99 meanwhile', limit: 'under 20 ms', measured: `${text(delays, 1)} ms`, isReached: delays.median < 20 }
  ]
}

function judgeReplay ({ replay }: BenchResult): Judgement[] {
  if (replay === undefined) return []
  const seconds = spreadOf(replay.seconds)
  return [{ what: `${replay.entries} revocations replayed into an empty Redis`, limit: 'at most 15 s', measured: `${text(seconds, 1)} s`, isReached: seconds.median <= 15 && replay.entries >= 1_000_000 }]
}
