import type { Measurement } from './measure.ts'
import type { BenchResult } from './result.ts'
import { spreadOf, type Spread } from './statistics.ts'
import type { Algorithm } from './tokens.ts'
import type { VariantName } from './variants.ts'

/** A figure that must be reached, and what was measured. */
export interface Judgement {
  what: string
  limit: string
  /** Undefined when it was not measured. */
  measured: string | undefined
  isReached: boolean
}

const text = ({ median, min, max }: Spread, digits: number) =>
  `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`

/** Every figure. The median decides. */
export function judge (result: BenchResult): Judgement[] {
  return [
    ...judgeCells(result), ...judgeSizes(result), ...judgeMemory(result), ...judgeStorm(result), ...judgeRebuild(result)
  ]
}

function judgeCells ({ cells }: BenchResult): Judgement[] {
  const find = (variant: VariantName, connections: number, algorithm: Algorithm) =>
    cells.find(cell => cell.variant === variant && cell.connections === connections && cell.algorithm === algorithm)
      ?.measurements
  /** Of what was measured in the same round, since the machine is not the same in another. */
  const ratio = (
    what: string,
    limit: number,
    field: keyof Measurement,
    against: VariantName,
    connections: number
  ): Judgement[] => {
    const [ours, theirs] = [find('signout', connections, 'EdDSA'), find(against, connections, 'EdDSA')]
    if (ours === undefined || theirs === undefined) {
      return [{ what, limit: `at most ${limit.toFixed(2)} ×`, measured: undefined, isReached: false }]
    }
    const ratios = spreadOf(ours.map((each, round) => each[field] / (theirs[round]?.[field] ?? NaN)))
    return [
      {
        what,
        limit: `at most ${limit.toFixed(2)} ×`,
        measured: `${text(ratios, 2)} ×`,
        isReached: ratios.median <= limit
      }
    ]
  }
  return [
    ...ratio(
      'signout, EdDSA, all checks, 50 connections: CPU per request against `@fastify/jwt` alone, its own cache on, no revocation check',
      0.8,
      'cpuMicros',
      'jwt',
      50
    ),
    ...ratio('the same against one `EXISTS` per request with the same key and cache', 0.65, 'cpuMicros', 'exists', 50),
    ...ratio('the same against a route with no authentication at all', 1.4, 'cpuMicros', 'open', 50),
    ...ratio("Redis' own CPU per request against one `EXISTS` per request", 0.3, 'redisMicros', 'exists', 50),
    ...ratio(
      'one connection, no batching to be had: latency p50 against one `EXISTS` per request', 1.05, 'p50', 'exists', 1
    )
  ]
}

/** The one that differs most from an empty blocklist. */
function judgeSizes ({ sizes = {} }: BenchResult): Judgement[] {
  const [empty = [], ...others] = Object.values(sizes)
  const worst = others
    .map(measurements =>
      spreadOf(measurements.map(({ cpuMicros }, round) => cpuMicros / (empty[round]?.cpuMicros ?? NaN)))
    )
    .toSorted((a, b) => Math.abs(b.median - 1) - Math.abs(a.median - 1))[0]
  return [
    {
      what:
        `a blocklist of ${Object.keys(sizes).join(', ') || 'several numbers of'} entries: CPU per request, the one that differs most from the empty one`,
      limit: '0.95 to 1.05 ×',
      measured: worst && `${text(worst, 3)} ×`,
      isReached: worst !== undefined && Math.abs(worst.median - 1) <= 0.05
    }
  ]
}

/** A figure that is at most so much, by the median. */
function atMost (
  what: string,
  { limit, inclusive = true, digits, unit }: { limit: number, inclusive?: boolean, digits: number, unit: string },
  values: number[] | undefined
): Judgement {
  const spread = values && spreadOf(values)
  return {
    what,
    limit: `${inclusive ? 'at most' : 'under'} ${limit} ${unit}`,
    measured: spread && `${text(spread, digits)} ${unit}`,
    isReached: spread !== undefined && (inclusive ? spread.median <= limit : spread.median < limit)
  }
}

function judgeMemory ({ memory }: BenchResult): Judgement[] {
  return [
    atMost(
      'Redis memory per logout, the `jti` and the `sid` entry together, for tables of Redis as full as they may be',
      { limit: 300, digits: 0, unit: 'bytes' },
      memory?.map(({ bytes }) => bytes)
    )
  ]
}

function judgeStorm ({ service }: BenchResult): Judgement[] {
  return [
    atMost(
      'p99 of `GET /me` while a login storm keeps argon2 saturated, against its idle p99 at the same request rate',
      { limit: 4, digits: 1, unit: '×' },
      service?.rounds.map(({ idle, storm }) => storm.p99 / idle.p99)
    ),
    atMost(
      'event-loop delay p99 meanwhile',
      { limit: 20, inclusive: false, digits: 1, unit: 'ms' },
      service?.rounds.map(({ delayP99Ms }) => delayP99Ms)
    )
  ]
}

/** Fewer would be another figure. */
const mustRebuild = 1_000_000

function judgeRebuild ({ rebuild }: BenchResult): Judgement[] {
  return [
    atMost(
      `${mustRebuild} revocations written into an empty Redis`,
      { limit: 15, digits: 1, unit: 's' },
      rebuild?.entries === mustRebuild ? rebuild.seconds : undefined
    )
  ]
}
