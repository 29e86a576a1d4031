import type { Counter, Tally } from './counter.ts'
import type { MemoryCounter } from './memory-counter.ts'
import type { RedisCounter } from './redis-counter.ts'

export interface InsuredCounterOptions {
  /** Called when Redis failed a command over an open connection. */
  onFailed?: () => void
  /** The time from a failed command until Redis gets the counts from memory, in milliseconds. Defaults to 10000. */
  retryMs?: number
}

/** Counts in Redis, and in memory while Redis does not answer. Never rejects. */
export interface InsuredCounter extends Counter {
  /** Sends Redis the counts from memory. Call it when a connection opens. */
  carryOver (): Promise<void>
}

/**
 * The largest number of reservations that are dropped in Redis later. Others lapse there, and count as wrong attempts.
 */
const maxUndropped = 1_000
/** The number of commands that are carried over at once. */
const carriedAtOnce = 50
/** Far shorter than the lease of a reservation, which would otherwise lapse in Redis. */
const defaultRetryMs = 10_000

/**
 * Creates a counter that works during an outage of Redis. Memory holds the last answers of Redis, and counts on from
 * there. So an outage gives back no attempts that this replica has seen used up. When Redis answers again, it gets
 * the counts of the outage before any other command about the same key.
 *
 * A command that Redis did not answer may have been executed. Its attempt then counts twice, which is safer than not at
 * all. A reservation does not count twice, because Redis is sent a command that drops it.
 *
 * A Redis that is full or read-only refuses commands over a connection that stays open. So a failed command is also
 * followed by a retry after `retryMs`, and not only by the one after a reconnection.
 */
export function createInsuredCounter (
  redis: RedisCounter, memory: MemoryCounter, { onFailed, retryMs = defaultRetryMs }: InsuredCounterOptions = {}
): InsuredCounter {
  /** Reservations that have ended and that Redis may still hold, by their ids, with their keys. */
  const undropped = new Map<string, string>()
  const retryLater = createRetry(retryMs, () => carryOver())

  /** Sends a command, after the counts that Redis lacks. Resolves to undefined if Redis does not answer. */
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

  /** Does not need to be awaited: a connection answers commands in order, so a later command sees these counts. */
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
      // The reservation of a wrong attempt lapses in Redis, and counts there too from then on.
      if (answer === undefined && !isWrong) dropLater(key, id)
      return answer ?? known
    },
    count: async key => await ask(key, () => redis.count(key)) ?? await memory.count(key),
    carryOver
  }
}

/** Returns a function that schedules the work in `afterMs` milliseconds. Until then, further calls do nothing. */
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
