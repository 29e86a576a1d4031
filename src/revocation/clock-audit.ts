import { measureClockDifference } from '../clock-difference.ts'
import type { RedisFlaw } from './redis-audit.ts'
import type { RevocationLog } from './revocation-log.ts'

/** What is wrong with a clock that differs so much from this machine's; undefined when that is within the leeway. */
export function judgeClock (differenceMs: number, leewaySeconds: number): Pick<RedisFlaw, 'what' | 'cure'> | undefined {
  // Both clocks are read in whole milliseconds.
  if (differenceMs <= leewaySeconds * 1000 + 1) return undefined
  return {
    what: `has a clock that differs from this machine's by ${(differenceMs / 1000).toFixed(1)} s, which is more than CLOCK_LEEWAY (${leewaySeconds} s)`,
    cure: 'Set both clocks by NTP.'
  }
}

/**
 * Compares Postgres' clock, which says when tokens end and which rows of the record nobody needs any more: if it were ahead
 * of the replicas, a rebuild would leave out what they still accept.
 */
export async function auditRecordClock (log: Pick<RevocationLog, 'readClock'>, leewaySeconds: number): Promise<RedisFlaw[]> {
  return recordClockFlaws(await measureClockDifference(log.readClock), leewaySeconds)
}

/** The same, where the difference is known. */
export function recordClockFlaws (differenceMs: number, leewaySeconds: number): RedisFlaw[] {
  const judgement = judgeClock(differenceMs, leewaySeconds)
  return judgement === undefined ? [] : [{ kind: 'record_clock', ...judgement }]
}
