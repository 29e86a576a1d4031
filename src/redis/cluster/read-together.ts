import type { Redis } from 'ioredis'

type Values = Array<string | null>

interface Read {
  keys: string[]
  resolve (values: Values): void
  reject (error: unknown): void
}

/** The reads of this tick, by connection. */
const asked = new WeakMap<Redis, Read[]>()

/**
 * Reads the values of keys with one `MGET`. It is sent together with the other reads of this tick on the same
 * connection.
 */
export function readTogether (redis: Redis, keys: string[]): Promise<Values> {
  return new Promise((resolve, reject) => {
    const read = { keys, resolve, reject }
    const others = asked.get(redis)
    if (others !== undefined) {
      others.push(read)
      return
    }
    const reads = [read]
    asked.set(redis, reads)
    process.nextTick(() => {
      asked.delete(redis)
      send(redis, reads)
    })
  })
}

async function send (redis: Redis, reads: Read[]): Promise<void> {
  const pipeline = redis.pipeline()
  for (const { keys } of reads) pipeline.mget(keys)
  try {
    const answers = await pipeline.exec() ?? []
    for (const [index, { resolve, reject }] of reads.entries()) {
      const [error, values] = answers[index] ?? [new Error('A command of a pipeline was not answered.')]
      if (error) reject(error)
      else resolve(values as Values)
    }
  } catch (error) {
    for (const { reject } of reads) reject(error)
  }
}

/**
 * Returns a function that runs work at the end of this turn of the event loop, all of it at once. Reads that the work
 * sends go out together.
 */
export function createTurn (): (work: () => void) => void {
  let due: Array<() => void> = []
  return work => {
    due.push(work)
    if (due.length > 1) return
    setImmediate(() => {
      const now = due
      due = []
      for (const work of now) work()
    })
  }
}
