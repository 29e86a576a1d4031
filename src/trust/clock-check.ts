import { aheadOf, readOwnClock, type ClockReading } from '../clocks/clock-reading.ts'

/** Compares the clock of Redis with that of this machine. */
export interface ClockCheck {
  /** Begins a reading. Call it before Redis is asked. */
  begin (): {
    /**
     * Compares the clocks. The flaw is the reason why no answer counts, and the cure; undefined if there is none.
     * `wasSetBack` is true if the clock of Redis was set back since the last reading: entries may have ended too soon.
     *
     * @param clockMs the clock of Redis, in milliseconds since the epoch
     */
    end (clockMs: number): { flaw: string | undefined, wasSetBack: boolean }
  }
}

export interface ClockCheckOptions {
  /** By how many seconds clocks may differ. */
  leewaySeconds: number
  /** The clock of this machine, in milliseconds since the epoch. */
  wallClock?: (() => number) | undefined
  /** The monotonic clock, in milliseconds. */
  monotonic?: () => number
}

/**
 * Creates the check. A clock of Redis that was set is told from a clock of this machine that was set by the monotonic
 * clock, which cannot be set.
 */
export function createClockCheck (
  { leewaySeconds, wallClock = Date.now, monotonic = () => performance.now() }: ClockCheckOptions
): ClockCheck {
  const leewayMs = leewaySeconds * 1000
  let last: ClockReading | undefined

  function judge (reading: ClockReading): { flaw: string | undefined, wasSetBack: boolean } {
    const aheadMs = aheadOf(reading, readOwnClock(wallClock, monotonic))
    const wasSetBack = last !== undefined && aheadOf(last, reading) > leewayMs
    last = reading
    if (Math.abs(aheadMs) > leewayMs) {
      const difference = `${(Math.abs(aheadMs) / 1000).toFixed(1)} s ${aheadMs > 0 ? 'ahead of' : 'behind'}`
      return {
        flaw:
          `The clock of Redis is ${difference} the clock of this machine, more than leewaySeconds (${leewaySeconds}). Run NTP on both.`,
        wasSetBack
      }
    }
    return { flaw: wasSetBack ? 'The clock of Redis was set back: revocations may be missing.' : undefined, wasSetBack }
  }

  return {
    begin () {
      const askedAtMs = monotonic()
      return {
        end (clockMs) {
          const readAtMs = monotonic()
          // Redis reads its clock in between, in whole milliseconds.
          return judge({ atLeastMs: clockMs - readAtMs, atMostMs: clockMs + 1 - askedAtMs, readAtMs })
        }
      }
    }
  }
}
