import type { Measurement } from './measure.ts'
import type { BenchResult } from './result.ts'
import { spreadOf, spreadOfRatios, type Spread } from './statistics.ts'
import type { Algorithm } from './tokens.ts'
import type { VariantName } from './variants.ts'

/** A target, and its measured result. */
export interface Judgement {
  what: string
  limit: string
  /** Undefined if it was not measured. */
  measured: string | undefined
  isReached: boolean
}

const text = ({ median, min, max }: Spread, digits: number) =>
  `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`

/** Compares the results with every target. The median decides. */
export function judge (result: BenchResult): Judgement[] {
  return [
    ...judgeCells(result), ...judgeSizes(result), ...judgeMemory(result), ...judgeStorm(result), ...judgeRebuild(result)
  ]
}

function judgeCells ({ cells }: BenchResult): Judgement[] {
  const find = (variant: VariantName, connections: number, algorithm: Algorithm) =>
    cells.find(cell => cell.variant === variant && cell.connections === connections && cell.algorithm === algorithm)
      ?.measurements
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
    const ratios = spreadOfRatios(ours.map(each => each[field]), theirs.map(each => each[field]))
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
      'CPU per request of signout (all checks, EdDSA, 50 connections), compared with `@fastify/jwt` alone (its cache on, no revocation check)',
      0.8,
      'cpuMicros',
      'jwt',
      50
    ),
    ...ratio(
      'CPU per request of signout (EdDSA, 50 connections), compared with one `EXISTS` per request (same key, same cache)',
      0.65,
      'cpuMicros',
      'exists',
      50
    ),
    ...ratio(
      'CPU per request of signout (EdDSA, 50 connections), compared with a route without authentication',
      1.4,
      'cpuMicros',
      'open',
      50
    ),
    ...ratio(
      'CPU per request of Redis (EdDSA, 50 connections), compared with one `EXISTS` per request',
      0.3,
      'redisMicros',
      'exists',
      50
    ),
    ...ratio(
      'latency p50 with one connection, where no look-ups are shared, compared with one `EXISTS` per request',
      1.05,
      'p50',
      'exists',
      1
    )
  ]
}

/** Checks the size that differs most from an empty blocklist. */
function judgeSizes ({ sizes = {} }: BenchResult): Judgement[] {
  const [empty = [], ...others] = Object.values(sizes).map(measurements => measurements.map(each => each.cpuMicros))
  const worst = others
    .map(each => spreadOfRatios(each, empty))
    .toSorted((a, b) => Math.abs(b.median - 1) - Math.abs(a.median - 1))[0]
  return [
    {
      what:
        `CPU per request with ${Object.keys(sizes).join(', ') || 'several numbers of'} entries in the blocklist: the greatest difference from an empty one`,
      limit: '0.95 to 1.05 ×',
      measured: worst && `${text(worst, 3)} ×`,
      isReached: worst !== undefined && Math.abs(worst.median - 1) <= 0.05
    }
  ]
}

/** Checks that the median is at most the limit, or below it. */
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
      'Redis memory per logout (the `jti` and the `sid` entry), with hash tables of Redis from half full to full',
      { limit: 300, digits: 0, unit: 'bytes' },
      memory?.map(({ bytes }) => bytes)
    )
  ]
}

function judgeStorm ({ service }: BenchResult): Judgement[] {
  return [
    atMost(
      'p99 of `GET /me` during a login storm that saturates argon2, compared with p99 at the same rate without a storm',
      { limit: 4, digits: 1, unit: '×' },
      service?.rounds.map(({ idle, storm }) => storm.p99 / idle.p99)
    ),
    atMost(
      'event-loop delay p99 during this login storm',
      { limit: 20, inclusive: false, digits: 1, unit: 'ms' },
      service?.rounds.map(({ delayP99Ms }) => delayP99Ms)
    )
  ]
}

/** The number of revocations in the target. A rebuild of another number does not count. */
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
