import { describeAhead, type ClockDispute } from '../clocks/compare-clocks.ts'
import type { RedisFlaw } from './redis-audit.ts'

/**
 * The flaws behind clocks that differ. Redis drops an entry by its own clock, and a rebuild leaves out what has ended by that of
 * Postgres: either may be missing something while its clock is ahead. When the clock of this machine is the wrong one, nothing
 * is missing, but tokens would be accepted here whose entries are gone.
 *
 * There is none when only Redis and Postgres differ from each other: the margin of an entry covers that.
 */
export function clockFlaws (dispute: ClockDispute | undefined, leewaySeconds: number): RedisFlaw[] {
  if (dispute === undefined) return []
  const bound = `more than CLOCK_LEEWAY (${leewaySeconds} s)`
  if (dispute.ownAheadMs !== undefined) {
    const what = `has a clock that is ${describeAhead(dispute.ownAheadMs)} those of Redis and Postgres, which is ${bound}`
    return [{ kind: 'own_clock', what, cure: 'Set the clock of this machine by NTP.' }]
  }
  return dispute.wrong.map(({ server, aheadMs }) => ({
    kind: server.kind === 'postgres' ? 'record_clock' : 'clock',
    ...server.at !== undefined && { at: server.at },
    what: `has a clock that differs from this machine's by ${(Math.abs(aheadMs) / 1000).toFixed(1)} s, which is ${bound}`,
    cure: 'Set both clocks by NTP.'
  }))
}
