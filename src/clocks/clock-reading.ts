/**
 * The two bounds of how far a clock is ahead of the monotonic clock of this process, in milliseconds. The monotonic
 * clock cannot be set, so a reading stays true when the clock of this machine is set.
 */
export interface ClockReading {
  atLeastMs: number
  atMostMs: number
  /** The time of the reading, by the monotonic clock. */
  readAtMs: number
}

/** A clock is read in whole milliseconds, rounded down. */
const resolutionMs = 1
/**
 * The largest drift between two clocks that are not set, in milliseconds per millisecond. NTP corrects a clock by 0.5
 * ms in a second at most.
 */
const driftMsPerMs = 0.001

/**
 * Reads the clock of a server. The server reads it somewhere between the question and the answer.
 *
 * @param askClock resolves to the milliseconds since the epoch
 * @param monotonic the monotonic clock, in milliseconds
 */
export async function readClockOf (askClock: () => Promise<number>, monotonic: () => number): Promise<ClockReading> {
  const askedAt = monotonic()
  const theirs = await askClock()
  const readAtMs = monotonic()
  return { atLeastMs: theirs - readAtMs, atMostMs: theirs + resolutionMs - askedAt, readAtMs }
}

/** Reads the clock of this machine. */
export function readOwnClock (now: () => number, monotonic: () => number): ClockReading {
  const readAtMs = monotonic()
  const aheadMs = now() - readAtMs
  return { atLeastMs: aheadMs, atMostMs: aheadMs + resolutionMs, readAtMs }
}

/**
 * Returns by how many milliseconds one clock is ahead of another, at least. Negative if it is behind; 0 if they may
 * agree.
 */
export function aheadOf (one: ClockReading, other: ClockReading): number {
  const driftMs = driftMsPerMs * Math.abs(one.readAtMs - other.readAtMs)
  const ahead = one.atLeastMs - other.atMostMs - driftMs
  const behind = other.atLeastMs - one.atMostMs - driftMs
  if (ahead > 0) return ahead
  return behind > 0 ? -behind : 0
}
