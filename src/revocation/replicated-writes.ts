import type { WrittenEntries } from '../entries/write-entries.ts'
import type { RedisLink } from '../redis/link.ts'

export interface ReplicatedWritesOptions {
  /** A connection of its own: WAIT delays every later command on its connection. */
  link: RedisLink
  /** The number of Redis replicas that must have a write before it counts. */
  replicas: number
  /** The longest wait for the Redis replicas, in milliseconds. */
  deadlineMs: number
}

interface Batch extends WrittenEntries {
  members: Array<{ resolve (): void, reject (error: unknown): void }>
}

/**
 * The largest number of waiting batches. Further writes are refused: the requests behind the waiting ones have timed
 * out by then.
 */
const maxWaiting = 10

/**
 * Returns a function that writes entries, and resolves once enough Redis replicas have them. When they do not
 * acknowledge the write within the deadline, it rejects, although the primary has the entries. One write is under way
 * at a time. Writes that come meanwhile share the next one.
 *
 * @param script writes the entries KEYS as ARGV says
 * @param maxEntries the largest number of entries in one write
 */
export function createReplicatedWrites (
  { link, replicas, deadlineMs }: ReplicatedWritesOptions,
  script: string,
  maxEntries: number
): (entries: WrittenEntries) => Promise<void> {
  const waiting: Batch[] = []
  let isWriting = false

  async function send ({ keys, ends }: Batch): Promise<void> {
    await link.run(async redis => {
      // In one pipeline: WAIT counts only the writes of its own connection, and a new connection has none. EVAL and not
      // EVALSHA: an unknown digest would be sent again as a script, after the WAIT.
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

  return function write ({ keys, ends }) {
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
