import type { Counter, Tally } from './counter.ts'
import type { MemoryCounter } from './memory-counter.ts'
import type { RedisCounter } from './redis-counter.ts'

export interface InsuredCounterOptions {
  /** Called when Redis failed a command over a connection. */
  onFailed?: () => void
  /** How long after a failed command Redis is told again what was counted meanwhile, in milliseconds. */
  retryMs?: number
}

/** Counts in Redis, and in memory while Redis does not answer. Never rejects. */
export interface InsuredCounter extends Counter {
  /** Tells Redis what was counted in memory meanwhile. To be called when a connection was made. */
  carryOver (): Promise<void>
}

/** Of so many reservations, Redis is told later that they are over. Others lapse there, and count as wrong attempts. */
const maxUndropped = 1_000
/** How many keys are carried over at once. */
const carriedAtOnce = 50
/** Far shorter than the lease of a reservation, which would lapse in Redis otherwise. */
const defaultRetryMs = 10_000

/**
 * Memory knows what Redis answered last, and goes on from there when Redis does not answer: an outage gives back
 * nothing that this replica knows to be used up. When Redis answers again, it is told what was counted meanwhile,
 * before anything else is asked about the same key.
 *
 * A command that Redis did not answer may have been executed. What it counted then counts twice: rather that than not
 * at all. A reservation does not, since Redis is told to drop it.
 *
 * A Redis that is full or cannot write refuses commands over a connection that stays open. So a failed command is
 * followed by another try after a while, and not only by the one after a reconnection.
 */
export function createInsuredCounter (
  redis: RedisCounter, memory: MemoryCounter, { onFailed, retryMs = defaultRetryMs }: InsuredCounterOptions = {}
): InsuredCounter {
  /** Reservations that may be held in Redis and are over, with their keys. */
  const undropped = new Map<string, string>()
  const retryLater = createRetry(retryMs, () => carryOver())

  /** Sends a command behind what Redis has to be told first. Undefined when Redis does not answer. */
  async function ask<T extends Tally> (key: string, command: () => Promise<T>): Promise<T | undefined> {
    if (!redis.isReady(key)) return undefined
    carry(key)
    return await attempt(key, command)
  }

  async function attempt<T extends Tally> (key: string, command: () => Promise<T>): Promise<T | undefined> {
    try {
      const answer = await command()
      memory.learn(key, answer)
      return answer
    } catch {
      onFailed?.()
      return retryLater()
    }
  }

  /** One connection answers in order, so what is sent after this is answered after it. */
  async function carry (key: string): Promise<void> {
    const uncarried = memory.takeUncarried(key)
    if (uncarried === undefined) return
    if (await attempt(key, () => redis.carry(key, uncarried)) === undefined) memory.putBackUncarried(key, uncarried)
  }

  const dropLater = (key: string, id: string) => { if (undropped.size < maxUndropped) undropped.set(id, key) }

  async function drop (id: string, key: string): Promise<void> {
    undropped.delete(id)
    if (await attempt(key, () => redis.settle(key, id, false)) === undefined) dropLater(key, id)
  }

  async function carryOver (): Promise<void> {
    const drops = [...undropped].map(([id, key]) => ({ key, run: () => drop(id, key) }))
    const carries = memory.uncarriedKeys().map(key => ({ key, run: () => carry(key) }))
    await runInBatches([...drops, ...carries].filter(({ key }) => redis.isReady(key)).map(({ run }) => run))
  }

  return {
    async reserve (key, id) {
      const wasReady = redis.isReady(key)
      const answer = await ask(key, () => redis.reserve(key, id))
      if (answer === undefined) {
        if (wasReady) dropLater(key, id)
        return await memory.reserve(key, id)
      }
      if (answer.isAdmitted) memory.hold(key, id)
      return answer
    },
    async settle (key, id, isWrong) {
      const known = await memory.settle(key, id, isWrong)
      if (known.isOwn && redis.isReady(key)) carry(key)
      if (known.isOwn) return known
      const answer = await ask(key, () => redis.settle(key, id, isWrong))
      // A wrong attempt lapses in Redis, and then counts there too.
      if (answer === undefined && !isWrong) dropLater(key, id)
      return answer ?? known
    },
    count: async key => await ask(key, () => redis.count(key)) ?? await memory.count(key),
    carryOver
  }
}

/**
 * Returns a function after whose call the work is done once, some time later, however often it is called until then.
 */
function createRetry (afterMs: number, work: () => void): () => undefined {
  let timer: NodeJS.Timeout | undefined
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined
      work()
    }, afterMs).unref()
    return undefined
  }
}

async function runInBatches (tasks: Array<() => Promise<void>>): Promise<void> {
  for (let start = 0; start < tasks.length; start += carriedAtOnce) {
    await Promise.all(tasks.slice(start, start + carriedAtOnce).map(task => task()))
  }
}
