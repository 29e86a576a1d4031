import { aheadOf, type ClockReading } from './clock-reading.ts'

/** A server whose clock is compared with that of this machine. */
export interface ClockServer {
  kind: 'redis' | 'postgres'
  /** The address, if there are several. */
  at?: string | undefined
}

/** The clock of a server, as it was read last. */
export interface KnownClock {
  server: ClockServer
  reading: ClockReading
  /** True if it was set by more than the leeway since it last agreed with the clock of this machine. */
  wasSet: boolean
}

/** A clock that differs from that of this machine by more than the leeway. */
export interface WrongClock {
  server: ClockServer
  /** By how many milliseconds it is ahead of the clock of this machine; behind is negative. */
  aheadMs: number
}

/** Two clocks differ by more than the leeway. */
export interface ClockDispute {
  /**
   * The number of milliseconds by which the clock of this machine is ahead of all others, if only it is wrong. Negative
   * if it is behind. Undefined if a server may be wrong.
   */
  ownAheadMs: number | undefined
  /** The servers whose clocks differ from that of this machine. Empty if only two servers differ from each other. */
  wrong: WrongClock[]
  /**
   * The clocks that differ, and by how much, for people. It names no address, because `/health/ready` shows it to
   * everybody.
   */
  description: string
}

const names = { redis: 'Redis', postgres: 'Postgres' }

/** Compares every clock with every other. Returns undefined when they agree. */
export function compareClocks (
  own: ClockReading,
  known: readonly KnownClock[],
  leewayMs: number
): ClockDispute | undefined {
  const wrong = known.filter(({ reading }) => areApart(reading, own, leewayMs))
  const split = findSplit(known, leewayMs)
  if (wrong.length === 0 && split === undefined) return undefined
  const aheads = wrong.map(({ server, reading }) => ({ server, aheadMs: aheadOf(reading, own) }))
  // One server alone does not show which clock is wrong. Servers that were set together, such as those of one host, do
  // not either.
  const isOwn =
    split === undefined &&
    new Set(known.map(({ server }) => server.kind)).size > 1 &&
    !wrong.some(({ wasSet }) => wasSet)
  if (!isOwn) return { ownAheadMs: undefined, wrong: aheads, description: describe(aheads, split) }
  const ownAheadMs = -farthest(aheads)
  return {
    ownAheadMs,
    wrong: aheads,
    description: `this machine's clock is ${describeAhead(ownAheadMs)} those of Redis and Postgres`
  }
}

/** Returns true if two clocks differ by more than the leeway. */
export function areApart (one: ClockReading, other: ClockReading, leewayMs: number): boolean {
  return Math.abs(aheadOf(one, other)) > leewayMs
}

/** Returns the greatest difference, positive or negative; 0 if there are no clocks. */
export function farthest (clocks: ReadonlyArray<{ aheadMs: number }>): number {
  return clocks.reduce((most, { aheadMs }) => Math.abs(aheadMs) > Math.abs(most) ? aheadMs : most, 0)
}

/** Returns a key that changes when other clocks differ than before, or when another one is the wrong one. */
export function keyOfDispute (dispute: ClockDispute | undefined): string {
  if (dispute === undefined) return ''
  return [
    dispute.ownAheadMs === undefined ? 'servers' : 'own',
    ...dispute.wrong.map(({ server }) => keyOfServer(server))
  ].join()
}

export function keyOfServer ({ kind, at = '' }: ClockServer): string {
  return `${kind} ${at}`
}

/** Returns `3600.0 s ahead of`, or `8.0 s behind`. */
export function describeAhead (aheadMs: number): string {
  return `${(Math.abs(aheadMs) / 1000).toFixed(1)} s ${aheadMs > 0 ? 'ahead of' : 'behind'}`
}

/** Two servers that differ from each other by more than the leeway. */
interface Split {
  one: ClockServer
  other: ClockServer
  aheadMs: number
}

function findSplit (known: readonly KnownClock[], leewayMs: number): Split | undefined {
  for (const [index, one] of known.entries()) {
    const other = known.slice(index + 1).find(({ reading }) => areApart(one.reading, reading, leewayMs))
    if (other !== undefined) {
      return { one: one.server, other: other.server, aheadMs: aheadOf(one.reading, other.reading) }
    }
  }
  return undefined
}

function describe (wrong: readonly WrongClock[], split: Split | undefined): string {
  if (wrong.length > 0) {
    return wrong
      .map(
        ({ server, aheadMs }) => `the clock of ${names[server.kind]} is ${describeAhead(aheadMs)} that of this machine`
      )
      .join(', ')
  }
  if (split === undefined) return ''
  const { one, other, aheadMs } = split
  const compared = `${one.kind === other.kind ? 'another ' : ''}${names[other.kind]}`
  return `the clock of ${names[one.kind]} is ${describeAhead(aheadMs)} that of ${compared}`
}
