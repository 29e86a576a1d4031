/** The value of a key; `null` where there is none; an error where no answer about this key counts, unlike those about others. */
export type Value = string | null | Error

/** Reads the values of `keys` in one command, in their order. */
export type ReadMany = (keys: string[]) => Promise<Value[]>

/** Asks whether any of the keys exists, and is called back once: with an error, or with the answer. */
export type AnyExists = (keys: string[], answered: (error: unknown, anyExists?: boolean) => void) => void

/** A batch that has been settled. */
export interface SettledBatch {
  /** How many look-ups it carried. */
  lookups: number
  seconds: number
  /** What it failed with; undefined when it was answered. */
  error: unknown
}

interface Member {
  /** Where this member's keys end in the batch; they begin where those of the member before it end. */
  end: number
  answered: Parameters<AnyExists>[1]
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
 * that fails fails its own members and nothing else.
 *
 * Callbacks, since this is done for every request: a promise for each would cost more than its share of the command. They
 * are called from the batch, not from where the look-up began: `createRevocationCheck` leads back there.
 *
 * @param readMany sends the command
 * @param maxKeys a batch that would grow beyond this many keys is sent at once, and another is opened
 * @param onSettled is told of each batch, once its look-ups are settled. It must not throw.
 * @param atEndOfTurn does work at the end of this turn of the event loop
 */
export function createCoalescer (readMany: ReadMany, maxKeys: number, onSettled?: (batch: SettledBatch) => void, atEndOfTurn: (work: () => void) => void = setImmediate): AnyExists {
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

  return function anyExists (keys, answered) {
    if (open !== undefined && open.keys.length + keys.length > maxKeys) sendOpenBatch()
    open ??= openBatch()
    for (const key of keys) open.keys.push(key)
    open.members.push({ end: open.keys.length, answered })
  }
}

async function settle ({ keys, members }: Batch, readMany: ReadMany, onSettled?: (batch: SettledBatch) => void): Promise<void> {
  const startedAt = performance.now()
  let values: Value[] = []
  let failure: unknown
  try {
    values = await readMany(keys)
    if (values.length !== keys.length) throw new Error(`${keys.length} keys were asked for and ${values.length} answered.`)
  } catch (error) {
    failure = error ?? new Error('The command failed and did not say why.')
  }
  let start = 0
  for (const { end, answered } of members) {
    let anyExists = false
    let failureOfKey: Error | undefined
    for (; start < end; start++) {
      const value = values[start]
      if (value instanceof Error) failureOfKey ??= value
      else anyExists ||= value !== null
    }
    try {
      if (failure !== undefined) answered(failure)
      else if (failureOfKey !== undefined && !anyExists) answered(failureOfKey)
      else answered(undefined, anyExists)
    } catch (error) {
      // What one look-up's caller does wrong is thrown where nobody waits behind it.
      process.nextTick(() => { throw error })
    }
  }
  onSettled?.({ lookups: members.length, seconds: (performance.now() - startedAt) / 1000, error: failure })
}
