/** Reads the values of `keys` in one command, in their order; `null` where there is none. */
export type ReadMany = (keys: string[]) => Promise<Array<string | null>>

/** A batch that has been settled. */
export interface SettledBatch {
  /** How many look-ups it carried. */
  lookups: number
  seconds: number
  /** What it failed with; undefined when it was answered. */
  error: unknown
}

interface Member {
  /** Where this member's keys begin in the batch, and how many they are. */
  start: number
  count: number
  resolve (anyExists: boolean): void
  reject (error: unknown): void
}

interface Batch {
  keys: string[]
  members: Member[]
}

/**
 * Turns the look-ups of one turn of the event loop into one command: the first look-up opens a batch, and the
 * batch is closed and sent at the end of the turn. This is what makes the check nearly free (P7).
 *
 * A look-up never joins a batch that has been sent, since the answer may be older than the look-up. A batch
 * that fails rejects its own members and nothing else.
 *
 * @param readMany sends the command
 * @param maxKeys a batch that would grow beyond this many keys is sent at once, and another is opened
 * @param onSettled is told of each batch, once its look-ups are settled. It must not throw.
 * @param atEndOfTurn does work at the end of this turn of the event loop
 * @returns whether any of the given keys exists
 */
export function createCoalescer (readMany: ReadMany, maxKeys: number, onSettled?: (batch: SettledBatch) => void, atEndOfTurn: (work: () => void) => void = setImmediate): (keys: string[]) => Promise<boolean> {
  let open: Batch | undefined

  function openBatch (): Batch {
    const batch: Batch = { keys: [], members: [] }
    atEndOfTurn(() => { if (open === batch) sendOpenBatch() })
    return batch
  }

  function sendOpenBatch (): void {
    const batch = open
    open = undefined
    if (batch !== undefined) settle(batch, readMany, onSettled)
  }

  return function anyExists (keys) {
    return new Promise((resolve, reject) => {
      if (open !== undefined && open.keys.length + keys.length > maxKeys) sendOpenBatch()
      open ??= openBatch()
      open.members.push({ start: open.keys.length, count: keys.length, resolve, reject })
      open.keys.push(...keys)
    })
  }
}

async function settle (batch: Batch, readMany: ReadMany, onSettled?: (batch: SettledBatch) => void): Promise<void> {
  const startedAt = performance.now()
  let failure: unknown
  try {
    const values = await readMany(batch.keys)
    if (values.length !== batch.keys.length) throw new Error(`${batch.keys.length} keys were asked for and ${values.length} answered.`)
    for (const member of batch.members) {
      const mine = values.slice(member.start, member.start + member.count)
      member.resolve(mine.some(value => value !== null))
    }
  } catch (error) {
    failure = error
    for (const member of batch.members) member.reject(error)
  }
  onSettled?.({ lookups: batch.members.length, seconds: (performance.now() - startedAt) / 1000, error: failure })
}
