import { ClockDisputeError, SignoutError } from '../errors.ts'
import { aheadOf, readClockOf, readOwnClock, type ClockReading } from './clock-reading.ts'
import {
  areApart,
  compareClocks,
  farthest,
  keyOfDispute,
  keyOfServer,
  type ClockDispute,
  type ClockServer,
  type KnownClock
} from './compare-clocks.ts'

export interface ClocksOptions {
  /** By how many seconds clocks may differ. */
  leewaySeconds: number
  /** The clock of this machine, in milliseconds since the epoch. */
  now?: () => number
  /** The monotonic clock, in milliseconds. */
  monotonic?: () => number
}

/**
 * Compares the clock of this machine with those of Redis and Postgres. While any two of them differ by more than the
 * leeway, no token is issued, and no token is refused for its time. It does not matter which of them is wrong.
 *
 * A server is asked only when it is audited. In between, its clock is computed from the monotonic clock. So a step of
 * the own clock is found without asking a server. Without servers, as in the embedded mode, no clocks differ.
 */
export interface Clocks {
  /** Reads the clock of a server. Rejects when the server does not answer; the last reading counts until it does. */
  read (server: ClockServer, askClock: () => Promise<number>): Promise<void>
  /** Notes a reading that was made elsewhere. */
  note (server: ClockServer, reading: ClockReading): void
  /** Call it after the servers were read. Forgets the servers that are not `present` any more. */
  conclude (present: readonly ClockServer[]): void
  /** Compares all clocks now, which costs a look at two clocks of this machine. Returns undefined when they agree. */
  compare (): ClockDispute | undefined
  /** Compares all clocks now. Returns an error that says which of them differ; undefined when they agree. */
  findFault (): ClockDisputeError | undefined
  /**
   * Compares all clocks now. Returns an error if clocks differ, or differed in the last two seconds. Ask it about a
   * token that was refused for its time: the clock may have been set right since the token was judged.
   */
  findRecentFault (): ClockDisputeError | undefined
  /** Throws 503 `service_unavailable` when clocks differ. Call it before anything is issued. */
  requireAgreement (): void
  /**
   * Returns true if the clock of a server was set back since the last call. Redis may have dropped entries too early.
   */
  takeSetBack (): boolean
  /**
   * The number of seconds by which the clock of each kind of server is ahead of this machine. Of several servers, the
   * one that differs most counts.
   */
  readonly differences: ReadonlyArray<{ clock: ClockServer['kind'], aheadSeconds: number }>
  /**
   * Compares the clocks every second.
   *
   * @param onChange called when clocks begin to differ, when others do than before, and when they agree again: then
   * without a dispute
   */
  start (onChange: (dispute: ClockDispute | undefined) => void): void
  stop (): void
}

const compareEveryMs = 1_000
/** A dispute that ends is seen at most one comparison before its end. */
const recentMs = 2 * compareEveryMs

/** Creates the comparison. It knows only the clock of this machine until a server was read. */
export function createClocks (options: ClocksOptions): Clocks {
  const { leewaySeconds, now = Date.now, monotonic = () => performance.now() } = options
  const leewayMs = leewaySeconds * 1000
  const readOwn = () => readOwnClock(now, monotonic)
  const servers = createServerClocks(leewayMs, readOwn)
  let timer: NodeJS.Timeout | undefined
  let onChange: ((dispute: ClockDispute | undefined) => void) | undefined
  let told = ''
  let lastFault: { error: ClockDisputeError, seenAtMs: number } | undefined

  const compare = () => compareClocks(readOwn(), servers.known(), leewayMs)

  /** Compares the clocks, calls `onChange` if the result has changed, and returns it. */
  function compareAndTell (): ClockDispute | undefined {
    const dispute = compare()
    if (dispute !== undefined) {
      lastFault = { error: new ClockDisputeError(dispute.description), seenAtMs: monotonic() }
    }
    const found = keyOfDispute(dispute)
    if (found !== told && onChange !== undefined) {
      told = found
      onChange(dispute)
    }
    return dispute
  }

  function findFault (): ClockDisputeError | undefined {
    return compareAndTell() && lastFault?.error
  }

  function findRecentFault (): ClockDisputeError | undefined {
    compareAndTell()
    return lastFault !== undefined && monotonic() - lastFault.seenAtMs <= recentMs ? lastFault.error : undefined
  }

  return {
    async read (server, askClock) { servers.note(server, await readClockOf(askClock, monotonic)) },
    note: servers.note,
    conclude (present) {
      servers.conclude(present)
      compareAndTell()
    },
    compare,
    findFault,
    findRecentFault,
    requireAgreement () {
      const cause = findFault()
      if (cause !== undefined) {
        throw new SignoutError('service_unavailable', {
          cause,
          description: 'The clocks of the servers differ too much. Try again.'
        })
      }
    },
    takeSetBack: servers.takeSetBack,
    get differences () {
      const own = readOwn()
      const all = servers.known().map(({ server, reading }) => ({ server, aheadMs: aheadOf(reading, own) }))
      return (['redis', 'postgres'] as const).flatMap(clock => {
        const ofKind = all.filter(({ server }) => server.kind === clock)
        return ofKind.length === 0 ? [] : [{ clock, aheadSeconds: farthest(ofKind) / 1000 }]
      })
    },
    start (changed) {
      onChange = changed
      timer = setInterval(compareAndTell, compareEveryMs).unref()
    },
    stop () { clearInterval(timer) }
  }
}

interface ServerClock extends KnownClock {
  /** True if it was not the wrong one when it was read. */
  wasRight: boolean
  /** True if it was read since the last conclusion. */
  isRenewed: boolean
}

/** Keeps the last reading of the clock of each server. */
function createServerClocks (leewayMs: number, readOwn: () => ClockReading) {
  const clocks = new Map<string, ServerClock>()
  let wasSetBack = false

  function forget (present: readonly ClockServer[]): void {
    const own = readOwn()
    const keys = new Set(present.map(keyOfServer))
    const isConfirmed = [...clocks.values()].some(
      ({ isRenewed, reading }) => isRenewed && !areApart(reading, own, leewayMs)
    )
    for (const [key, { isRenewed, wasRight, reading }] of clocks) {
      // The reading may be void: a monotonic clock may stop while a virtual machine is suspended.
      const isOutdated = !isRenewed && wasRight && isConfirmed && areApart(reading, own, leewayMs)
      if (!keys.has(key) || isOutdated) clocks.delete(key)
    }
  }

  return {
    known: (): KnownClock[] => [...clocks.values()],
    note (server: ClockServer, reading: ClockReading): void {
      const before = clocks.get(keyOfServer(server))
      const movedMs = before === undefined ? 0 : aheadOf(reading, before.reading)
      if (movedMs < -leewayMs) wasSetBack = true
      const wasSet = before?.wasSet === true || Math.abs(movedMs) > leewayMs
      clocks.set(keyOfServer(server), { server, reading, wasSet, wasRight: before?.wasRight ?? true, isRenewed: true })
    },
    conclude (present: readonly ClockServer[]): void {
      forget(present)
      const own = readOwn()
      const isOwnWrong = compareClocks(own, [...clocks.values()], leewayMs)?.ownAheadMs !== undefined
      for (const clock of clocks.values()) {
        const agrees = !areApart(clock.reading, own, leewayMs)
        if (clock.isRenewed) clock.wasRight = agrees || isOwnWrong
        if (clock.isRenewed && agrees) clock.wasSet = false
        clock.isRenewed = false
      }
    },
    takeSetBack (): boolean {
      const taken = wasSetBack
      wasSetBack = false
      return taken
    }
  }
}
