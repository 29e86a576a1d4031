import { ClockDisputeError, SignoutError } from '../errors.ts'
import { aheadOf, readClockOf, readOwnClock, type ClockReading } from './clock-reading.ts'

/** A server whose clock is compared with that of this machine. */
export interface ClockServer {
  kind: 'redis' | 'postgres'
  /** The address, where there are several. */
  at?: string | undefined
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
   * The clock of this machine is the wrong one: the servers agree with each other. By how many milliseconds it is ahead of
   * theirs; behind is negative. Undefined when it may be right.
   */
  ownAheadMs: number | undefined
  /** The servers whose clocks differ from that of this machine. None when only two servers differ from each other. */
  wrong: WrongClock[]
  /** Which clocks differ, and by how much, for people. */
  description: string
}

export interface ClocksOptions {
  /** By how many seconds clocks may differ. */
  leewaySeconds: number
  /** The clock of this machine, in milliseconds since the epoch. */
  now?: () => number
  /** The monotonic clock, in milliseconds. */
  monotonic?: () => number
}

/**
 * Compares the clock of this machine with those of Redis and Postgres. Nobody needs to know which clock is wrong: while any two
 * of them differ by more than the leeway, no token is issued, and none is refused for its time.
 *
 * A server is asked only when it is audited. In between, the monotonic clock tells what the server's clock says, so that a step
 * of the own clock is found without asking anybody. Where no server was read, as in the embedded mode, nothing ever differs.
 */
export interface Clocks {
  /** Reads the clock of a server. Rejects when the server cannot be asked; what was read before counts until it can. */
  read (server: ClockServer, askClock: () => Promise<number>): Promise<void>
  /** Takes note of a reading. */
  note (server: ClockServer, reading: ClockReading): void
  /** To be called after the servers were read. Forgets those that are not `present` any more. */
  conclude (present: readonly ClockServer[]): void
  /** Compares all clocks now. Costs a look at two clocks of this machine. Returns undefined when they agree. */
  compare (): ClockDispute | undefined
  /** The same as an error that says which clocks differ. Returns undefined when the clocks agree. */
  findFault (): ClockDisputeError | undefined
  /** Throws 503 `service_unavailable` when clocks differ. To be called before anything is issued or refused for its time. */
  requireAgreement (): void
  /** Whether the clock of a server was set back since this was called last: until then the server may have dropped what had not ended. */
  takeSetBack (): boolean
  /** By how many seconds the clock of each kind of server is ahead of that of this machine; the one that differs most. */
  readonly differences: ReadonlyArray<{ clock: ClockServer['kind'], aheadSeconds: number }>
  /**
   * Compares every second.
   *
   * @param onChange called when clocks begin to differ, when others do than before, and when they agree again: then without a dispute
   */
  start (onChange: (dispute: ClockDispute | undefined) => void): void
  stop (): void
}

interface Known {
  server: ClockServer
  reading: ClockReading
  /** Whether the clock was not the wrong one when it was read. */
  wasRight: boolean
  isRenewed: boolean
}

const compareEveryMs = 1_000
const names = { redis: 'Redis', postgres: 'Postgres' }

export function createClocks ({ leewaySeconds, now = Date.now, monotonic = () => performance.now() }: ClocksOptions): Clocks {
  const leewayMs = leewaySeconds * 1000
  const known = new Map<string, Known>()
  let wasSetBack = false
  let timer: NodeJS.Timeout | undefined
  let onChange: ((dispute: ClockDispute | undefined) => void) | undefined
  let told = ''

  const areApart = (one: ClockReading, other: ClockReading) => Math.abs(aheadOf(one, other)) > leewayMs

  function note (server: ClockServer, reading: ClockReading): void {
    const before = known.get(nameOf(server))
    if (before !== undefined && aheadOf(reading, before.reading) < -leewayMs) wasSetBack = true
    known.set(nameOf(server), { server, reading, wasRight: before?.wasRight ?? true, isRenewed: true })
  }

  function compare (): ClockDispute | undefined {
    const own = readOwnClock(now, monotonic)
    const all = [...known.values()]
    const wrong = all.map(({ server, reading }) => ({ server, aheadMs: aheadOf(reading, own) })).filter(({ aheadMs }) => Math.abs(aheadMs) > leewayMs)
    const split = findSplit(all, areApart)
    if (wrong.length === 0 && split === undefined) return undefined
    const isOwn = split === undefined && all.some(({ server }) => server.kind === 'redis') && all.some(({ server }) => server.kind === 'postgres')
    const ownAheadMs = isOwn ? -farthest(wrong) : undefined
    return { ownAheadMs, wrong, description: describe(ownAheadMs, wrong, split) }
  }

  /** Tells of a change, and returns what was found. */
  function compareAndTell (): ClockDispute | undefined {
    const dispute = compare()
    const found = keyOf(dispute)
    if (found !== told && onChange !== undefined) {
      told = found
      onChange(dispute)
    }
    return dispute
  }

  function findFault (): ClockDisputeError | undefined {
    const dispute = compareAndTell()
    return dispute && new ClockDisputeError(dispute.description)
  }

  return {
    async read (server, askClock) { note(server, await readClockOf(askClock, monotonic)) },
    note,
    conclude (present) {
      const own = readOwnClock(now, monotonic)
      const names = new Set(present.map(nameOf))
      const isConfirmed = [...known.values()].some(({ isRenewed, reading }) => isRenewed && !areApart(reading, own))
      for (const [name, { isRenewed, wasRight, reading }] of known) {
        // The monotonic clock may have stood still, as it does while a virtual machine is suspended.
        const isOutdated = !isRenewed && wasRight && isConfirmed && areApart(reading, own)
        if (!names.has(name) || isOutdated) known.delete(name)
      }
      const dispute = compare()
      for (const each of known.values()) {
        if (each.isRenewed) each.wasRight = dispute?.ownAheadMs !== undefined || !areApart(each.reading, own)
        each.isRenewed = false
      }
      compareAndTell()
    },
    compare,
    findFault,
    requireAgreement () {
      const cause = findFault()
      if (cause !== undefined) throw new SignoutError('service_unavailable', { cause, description: 'The clocks of the servers differ too much. Try again.' })
    },
    takeSetBack () {
      const taken = wasSetBack
      wasSetBack = false
      return taken
    },
    get differences () {
      const own = readOwnClock(now, monotonic)
      const all = [...known.values()].map(({ server, reading }) => ({ server, aheadMs: aheadOf(reading, own) }))
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

function nameOf ({ kind, at }: ClockServer): string {
  return at === undefined ? names[kind] : `${names[kind]} at ${at}`
}

/** Two servers that differ from each other by more than the leeway. */
interface Split {
  one: ClockServer['kind']
  other: ClockServer['kind']
  aheadMs: number
}

function findSplit (all: readonly Known[], areApart: (one: ClockReading, other: ClockReading) => boolean): Split | undefined {
  for (const [index, one] of all.entries()) {
    const other = all.slice(index + 1).find(({ reading }) => areApart(one.reading, reading))
    if (other !== undefined) return { one: one.server.kind, other: other.server.kind, aheadMs: aheadOf(one.reading, other.reading) }
  }
  return undefined
}

function farthest (clocks: ReadonlyArray<{ aheadMs: number }>): number {
  return clocks.reduce((most, { aheadMs }) => Math.abs(aheadMs) > Math.abs(most) ? aheadMs : most, 0)
}

/** Names no address: `/health/ready` says it to everybody. */
function describe (ownAheadMs: number | undefined, wrong: readonly WrongClock[], split: Split | undefined): string {
  if (ownAheadMs !== undefined) return `this machine's clock is ${describeAhead(ownAheadMs)} those of Redis and Postgres`
  if (wrong.length > 0) return wrong.map(({ server, aheadMs }) => `the clock of ${names[server.kind]} is ${describeAhead(aheadMs)} that of this machine`).join(', ')
  if (split === undefined) return ''
  return `the clock of ${names[split.one]} is ${describeAhead(split.aheadMs)} that of ${split.one === split.other ? 'another ' : ''}${names[split.other]}`
}

/** `3600.0 s ahead of`, or `8.0 s behind`. */
export function describeAhead (aheadMs: number): string {
  return `${(Math.abs(aheadMs) / 1000).toFixed(1)} s ${aheadMs > 0 ? 'ahead of' : 'behind'}`
}

/** Changes when other clocks differ than before, or when it is the own clock that is wrong now. */
function keyOf (dispute: ClockDispute | undefined): string {
  if (dispute === undefined) return ''
  return [dispute.ownAheadMs === undefined ? 'servers' : 'own', ...dispute.wrong.map(({ server }) => nameOf(server))].join()
}
