import type { Redis } from 'ioredis'

type Values = Array<string | null>

interface Read {
  keys: string[]
  resolve (values: Values): void
  reject (error: unknown): void
}

/** What was asked of each server in this moment. */
const asked = new WeakMap<Redis, Read[]>()

/**
 * Reads the values of keys by one command, which goes out together with the others of this moment to the same server.
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
 * Does whatever was asked for in one turn of the event loop at its end, all of it at once: reads that are sent by it go
 * out together.
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
