import type { Admission, Counter, CounterSize, Settlement, Tally } from './counter.ts'

/** The counts under one key. Times are of a monotonic clock. */
interface Entry {
  /** Wrong attempts that Redis has counted, by its last answer. */
  shared: number
  /** Wrong attempts that were counted here and are not in Redis. */
  own: number
  /** The end of the window. Meaningless while nothing is counted. */
  endsAt: number
  underWay: Map<string, { lapsesAt: number, isOwn: boolean }>
}

export interface MemorySettlement extends Settlement {
  /** True if the reservation was made here, and not in Redis. */
  isOwn: boolean
}

/** Wrong attempts that were not sent to Redis yet. */
export interface Uncarried {
  attempts: number
  windowMs: number
}

/**
 * Counts in the memory of this process. In embedded mode this is the whole count. Beside Redis it also holds the last
 * answers of Redis, so that counting goes on from there when Redis does not answer.
 */
export interface MemoryCounter extends Counter {
  settle (key: string, id: string, isWrong: boolean): Promise<MemorySettlement>
  /** Adopts an answer of Redis. Attempts that were counted here and are not in Redis stay counted. */
  learn (key: string, tally: Tally): void
  /** Notes a reservation that is held in Redis. */
  hold (key: string, id: string): void
  /** Returns the keys with attempts that were not sent to Redis yet. */
  uncarriedKeys (): string[]
  /** Returns the attempts of a key that were not sent to Redis yet. From now on they count as sent. */
  takeUncarried (key: string): Uncarried | undefined
  /** Undoes `takeUncarried`. Call it if Redis did not get the attempts. */
  putBackUncarried (key: string, uncarried: Uncarried): void
  /** The number of keys with counts. */
  readonly size: number
}

export interface MemoryCounterOptions {
  /** The largest number of keys. Defaults to 100000. */
  maxKeys?: number
  /** Returns the time of a monotonic clock, in milliseconds. Defaults to `performance.now`. */
  now?: () => number
}

/** About 30 MB when full. */
const defaultMaxKeys = 100_000
/** When there is no room, the key with the fewest attempts of this many is forgotten. */
const candidatesToForget = 16
/** The longest time between two sweeps, in milliseconds. */
const maxSweepEveryMs = 10_000

/** The counts by key. An entry is brought up to date before it is read, and in each sweep. */
interface Entries {
  find (key: string): Entry | undefined
  /** Returns an entry of a key, or creates one. If there is no room, another one is forgotten. */
  open (key: string): Entry
  /** Forgets an entry that counts nothing, and returns true. Otherwise returns false. */
  closeIfEmpty (key: string, entry: Entry): boolean
  readonly all: ReadonlyMap<string, Entry>
}

function createEntries (windowMs: number, maxKeys: number, now: () => number): Entries {
  const entries = new Map<string, Entry>()
  let sweeper: NodeJS.Timeout | undefined

  function find (key: string): Entry | undefined {
    const entry = entries.get(key)
    if (entry === undefined) return undefined
    pass(entry, now(), windowMs)
    return closeIfEmpty(key, entry) ? undefined : entry
  }

  function closeIfEmpty (key: string, { shared, own, underWay }: Entry): boolean {
    if (shared + own + underWay.size > 0) return false
    entries.delete(key)
    if (entries.size === 0) {
      clearInterval(sweeper)
      sweeper = undefined
    }
    return true
  }

  function sweep (): void {
    for (const key of entries.keys()) find(key)
  }

  return {
    find,
    closeIfEmpty,
    open (key) {
      const found = find(key)
      if (found !== undefined) return found
      if (entries.size >= maxKeys) forgetOne(entries)
      const entry = { shared: 0, own: 0, endsAt: 0, underWay: new Map() }
      entries.set(key, entry)
      sweeper ??= setInterval(sweep, Math.min(windowMs, maxSweepEveryMs)).unref()
      return entry
    },
    all: entries
  }
}

/**
 * Creates a counter in memory, which is bounded: beyond `maxKeys`, keys with few attempts are forgotten first. So a
 * flood of invented names does not reset the limit of an account. A forgotten reservation counts as lapsed.
 */
export function createMemoryCounter (
  size: CounterSize,
  { maxKeys = defaultMaxKeys, now = () => performance.now() }: MemoryCounterOptions = {}
): MemoryCounter {
  const { attempts, windowMs, leaseMs } = size
  const { find, open, closeIfEmpty, all } = createEntries(windowMs, maxKeys, now)

  function tallyOf (entry: Entry | undefined): Tally {
    if (entry === undefined) return { wrong: 0, underWay: 0, windowMs: 0 }
    const wrong = entry.shared + entry.own
    return { wrong, underWay: entry.underWay.size, windowMs: wrong > 0 ? entry.endsAt - now() : 0 }
  }

  function admit (key: string, take: (entry: Entry) => void): Admission {
    const { wrong, underWay } = tallyOf(find(key))
    const isAdmitted = wrong + underWay < attempts
    if (isAdmitted) take(open(key))
    return { isAdmitted, ...tallyOf(find(key)) }
  }

  function learn (key: string, { wrong, windowMs: leftMs }: Tally): void {
    const entry = wrong > 0 ? open(key) : find(key)
    if (entry === undefined) return
    entry.shared = wrong
    if (wrong > 0) entry.endsAt = now() + leftMs
    closeIfEmpty(key, entry)
  }

  const reservation = (isOwn: boolean) => ({ lapsesAt: now() + leaseMs, isOwn })

  return {
    reserve: async (key, id) => admit(key, ({ underWay }) => { underWay.set(id, reservation(true)) }),
    count: async key => admit(key, entry => { add(entry, 'own', 1, now() + windowMs) }),
    async settle (key, id, isWrong) {
      const entry = find(key)
      const held = entry?.underWay.get(id)
      if (entry !== undefined && held !== undefined) {
        entry.underWay.delete(id)
        if (isWrong) add(entry, held.isOwn ? 'own' : 'shared', 1, now() + windowMs)
      }
      return { wasHeld: held !== undefined, isOwn: held?.isOwn === true, ...tallyOf(find(key)) }
    },
    learn,
    hold (key, id) { open(key).underWay.set(id, reservation(false)) },
    uncarriedKeys: () => [...all].filter(([, { own }]) => own > 0).map(([key]) => key),
    takeUncarried (key) {
      const entry = find(key)
      if (entry === undefined || entry.own === 0) return undefined
      const uncarried = { attempts: entry.own, windowMs: entry.endsAt - now() }
      entry.shared += entry.own
      entry.own = 0
      return uncarried
    },
    putBackUncarried (key, uncarried) {
      const entry = open(key)
      entry.shared = Math.max(0, entry.shared - uncarried.attempts)
      add(entry, 'own', uncarried.attempts, now() + uncarried.windowMs)
    },
    get size () { return all.size }
  }
}

/** Counts attempts in the open window, or in a new one that ends at `endsAt`. */
function add (entry: Entry, where: 'own' | 'shared', attempts: number, endsAt: number): void {
  if (entry.shared + entry.own === 0) entry.endsAt = endsAt
  entry[where] += attempts
}

/** Ends the window when it is over, and then counts reservations that have lapsed. */
function pass (entry: Entry, now: number, windowMs: number): void {
  const endWindow = () => { if (entry.endsAt <= now) entry.shared = entry.own = 0 }
  endWindow()
  // In the order in which they lapse, because the first of them begins a window.
  for (const [id, { lapsesAt, isOwn }] of entry.underWay) {
    if (lapsesAt > now) break
    entry.underWay.delete(id)
    add(entry, isOwn ? 'own' : 'shared', 1, lapsesAt + windowMs)
    endWindow()
  }
}

/** Forgets the key with the fewest attempts among the oldest keys. The others of them become the newest. */
function forgetOne (entries: Map<string, Entry>): void {
  let fewest = Infinity
  let forgotten: string | undefined
  const looked: Array<[string, Entry]> = []
  for (const candidate of entries) {
    if (looked.push(candidate) === candidatesToForget) break
  }
  for (const [key, entry] of looked) {
    const attempts = entry.shared + entry.own + entry.underWay.size
    entries.delete(key)
    entries.set(key, entry)
    if (attempts >= fewest) continue
    fewest = attempts
    forgotten = key
  }
  if (forgotten !== undefined) entries.delete(forgotten)
}
