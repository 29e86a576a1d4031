import { createTurns, findLargest, type Turns } from './turns.ts'

/** The outcome of a try: a result, or the name of something that blocks it and passes soon. */
export type Try<T> = { result: T } | { busy: string }

export interface WaitingRoomOptions {
  /** The largest number of waiting attempts. Defaults to 500. */
  maxWaiting?: number
  /** The longest wait of an attempt, in milliseconds. Defaults to 10000. */
  maxWaitMs?: number
}

/** Holds attempts that other attempts block. Each name of something that blocks has a line of its own. */
export interface WaitingRoom {
  /**
   * Tries at once, and again when the block may have passed. If others wait for one of the names, the first try waits
   * behind them.
   *
   * @param names the names that may block the attempt
   * @param network the network of the attempt, see `networkOf`. Networks take turns.
   * @param attempt called until it returns a result. The promise rejects with an error that it throws.
   * @param giveUp creates the error for an attempt that has waited too long, or for which there is no room
   */
  run<T>(
    names: readonly string[],
    network: string,
    attempt: () => Promise<Try<T>>,
    giveUp: (busy: string) => Error
  ): Promise<T>
  /**
   * Call it when a block may have passed. Other replicas do not call it, so the first of each line also tries again
   * from time to time.
   */
  wake (name: string): void
  /** The number of waiting attempts. */
  readonly size: number
}

interface Waiter {
  network: string
  /** Tries once. Resolves to the name that blocks it, or to undefined when it is over. */
  attempt: () => Promise<string | undefined>
  giveUp: (busy: string) => void
  /** True if it has waited as long as it may. */
  isLate: boolean
  timer?: NodeJS.Timeout
}

/** The waiters for one name. */
interface Line {
  turns: Turns<Waiter>
  wake: () => void
}

const defaultMaxWaiting = 500
const defaultMaxWaitMs = 10_000
/** The first and the longest pause before the first of a line tries again, in milliseconds. */
const [minRetryMs, maxRetryMs] = [10, 250]

/**
 * Creates a waiting room. The number of waiters and their waiting time are bounded. When there is no room, the network
 * with most waiters loses its last one. So one address cannot fill the room, and others do not wait behind all of its
 * attempts.
 *
 * One waiter of a line tries at a time, so a line costs no more than a few tries a second while nothing happens.
 */
export function createWaitingRoom ({
  maxWaiting = defaultMaxWaiting,
  maxWaitMs = defaultMaxWaitMs
}: WaitingRoomOptions = {}): WaitingRoom {
  const lines = new Map<string, Line>()
  let size = 0

  function leave (waiter: Waiter, busy?: string): void {
    clearTimeout(waiter.timer)
    size--
    if (busy !== undefined) waiter.giveUp(busy)
  }

  /** Ends the wait of a waiter. One that is trying now is only marked, because its reservations would be lost. */
  function expire (waiter: Waiter): void {
    waiter.isLate = true
    for (const [name, { turns }] of lines) if (turns.remove(waiter)) leave(waiter, name)
  }

  function enter (name: string, waiter: Waiter): void {
    const crowded = size >= maxWaiting ? takeFromLargest(lines, waiter.network) : undefined
    if (crowded !== undefined) leave(...crowded)
    if (size >= maxWaiting) {
      waiter.giveUp(name)
      return
    }
    size++
    waiter.timer ??= setTimeout(expire, maxWaitMs, waiter)
    append(name, waiter)
  }

  function append (name: string, waiter: Waiter): void {
    const found = lines.get(name)
    const line = found ?? { turns: createTurns<Waiter>(), wake () {} }
    line.turns.append(waiter)
    if (found !== undefined) return
    lines.set(name, line)
    serve(name, line)
  }

  async function serve (name: string, line: Line): Promise<void> {
    let retryMs = minRetryMs
    await pause(line, retryMs)
    for (let waiter = line.turns.takeNext(); waiter !== undefined; waiter = line.turns.takeNext()) {
      const busy = await waiter.attempt()
      if (busy === undefined || waiter.isLate) {
        leave(waiter, busy)
        retryMs = minRetryMs
      } else if (busy === name) {
        line.turns.putBack(waiter)
        await pause(line, retryMs)
        retryMs = Math.min(2 * retryMs, maxRetryMs)
      } else {
        append(busy, waiter)
      }
    }
    lines.delete(name)
  }

  return {
    run: (names, network, attempt, giveUp) => new Promise((resolve, reject) => {
      const waiter = createWaiter(network, attempt, { resolve, reject: busy => { reject(giveUp(busy)) }, fail: reject })
      const name = names.find(name => lines.has(name))
      if (name !== undefined) enter(name, waiter)
      else waiter.attempt().then(busy => { if (busy !== undefined) enter(busy, waiter) })
    }),
    wake (name) { lines.get(name)?.wake() },
    get size () { return size }
  }
}

interface Outcomes<T> {
  resolve: (result: T) => void
  reject: (busy: string) => void
  fail: (error: unknown) => void
}

function createWaiter<T> (
  network: string,
  attempt: () => Promise<Try<T>>,
  { resolve, reject, fail }: Outcomes<T>
): Waiter {
  return {
    network,
    isLate: false,
    giveUp: reject,
    async attempt () {
      try {
        const outcome = await attempt()
        if ('busy' in outcome) return outcome.busy
        resolve(outcome.result)
      } catch (error) {
        fail(error)
      }
      return undefined
    }
  }
}

/**
 * Removes the last waiter of the network with most waiters, and returns it with the name that it waited for. Returns
 * undefined if `network` would then have most.
 */
function takeFromLargest (lines: Map<string, Line>, network: string): [Waiter, string] | undefined {
  const counts = new Map<string, number>()
  for (const { turns } of lines.values()) {
    for (const [network, count] of turns.countByNetwork()) counts.set(network, (counts.get(network) ?? 0) + count)
  }
  const largest = findLargest(counts, network)
  if (largest === undefined) return undefined
  for (const [name, { turns }] of lines) {
    const last = turns.lastOf(largest)
    if (last !== undefined && turns.remove(last)) return [last, name]
  }
  return undefined
}

/** Waits until the line is woken, for `retryMs` at most. */
async function pause (line: Line, retryMs: number): Promise<void> {
  await new Promise<void>(resolve => {
    const timer = setTimeout(resolve, retryMs)
    line.wake = () => {
      clearTimeout(timer)
      resolve()
    }
  })
}
