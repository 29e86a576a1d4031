import type { RedisLink } from '../redis/link.ts'

export interface ReplicatedWritesOptions {
  /** A connection of its own: whoever waits on one keeps all that comes after it from an answer. */
  link: RedisLink
  /** How many replicas of Redis must have a write before it counts. */
  replicas: number
  /** How long they may take, in milliseconds. */
  deadlineMs: number
}

interface Batch {
  keys: string[]
  ends: number[]
  members: Array<{ resolve (): void, reject (error: unknown): void }>
}

/** Beyond this many batches that wait, a write is refused: whoever is in them has been answered long ago. */
const maxWaiting = 10

/**
 * Writes entries, and resolves once as many replicas of Redis as asked for have them; rejects when they do not in time,
 * though the entries are there then. There is one write at a time, and what comes meanwhile goes together in the next
 * one.
 *
 * @param script writes the entries KEYS, which end at ARGV
 * @param maxEntries how many go together at most
 */
export function createReplicatedWrites (
  { link, replicas, deadlineMs }: ReplicatedWritesOptions,
  script: string,
  maxEntries: number
): (keys: string[], ends: number[]) => Promise<void> {
  const waiting: Batch[] = []
  let isWriting = false

  async function send ({ keys, ends }: Batch): Promise<void> {
    await link.run(async redis => {
      // Sent together: WAIT counts what was written on its own connection, and on a new one that is nothing. So the
      // script goes as it is: a digest that the server does not know would be sent again as a script, after the WAIT.
      const answers = await redis
        .pipeline()
        .eval(script, keys.length, ...keys, ...ends)
        .wait(replicas, deadlineMs)
        .exec()
      for (const [error] of answers ?? []) if (error) throw error
      const acknowledged = Number(answers?.[1]?.[1] ?? 0)
      if (acknowledged < replicas) {
        throw new Error(
          `The write waits for ${replicas} of the replicas of Redis, and ${acknowledged} have acknowledged it in time.`
        )
      }
    })
  }

  async function work (): Promise<void> {
    isWriting = true
    for (let batch = waiting.shift(); batch !== undefined; batch = waiting.shift()) {
      try {
        await send(batch)
        for (const { resolve } of batch.members) resolve()
      } catch (error) {
        for (const { reject } of batch.members) reject(error)
      }
    }
    isWriting = false
  }

  function join (count: number): Batch {
    const last = waiting.at(-1)
    if (last !== undefined && last.keys.length + count <= maxEntries) return last
    const batch: Batch = { keys: [], ends: [], members: [] }
    waiting.push(batch)
    return batch
  }

  return function write (keys, ends) {
    return new Promise((resolve, reject) => {
      if (waiting.length >= maxWaiting) {
        reject(new Error('Too many writes wait for replicas of Redis.'))
        return
      }
      const batch = join(keys.length)
      batch.keys.push(...keys)
      batch.ends.push(...ends)
      batch.members.push({ resolve, reject })
      if (!isWriting) work()
    })
  }
}
