import type { LookUpBatch } from '../events/blocklist-events.ts'
import type { Value } from '../trust/trust.ts'

/** Reads the values of entries in one command, in their order. */
export type ReadMany = (names: readonly string[]) => Promise<readonly Value[]>

/**
 * Resolves to true if any of the entries exists. Rejects when the command failed. Also rejects when no entry was found
 * and the answer about one of them does not count.
 */
export type AnyExists = (names: readonly string[]) => Promise<boolean>

export interface CoalescerOptions {
  /** A batch that would have more entries is sent at once, and another one is opened. */
  maxEntries: number
  /** Called with each batch, once its look-ups are settled. It must not throw. */
  onSettled?: ((batch: LookUpBatch) => void) | undefined
  /** Runs work at the end of this turn of the event loop. Defaults to `setImmediate`. */
  atEndOfTurn?: ((work: () => void) => void) | undefined
}

interface LookUp {
  /**
   * The index after this look-up's last entry in the batch. Its entries begin at the `end` of the look-up before it.
   */
  end: number
  resolve (anyExists: boolean): void
  reject (error: unknown): void
}

interface Batch {
  names: string[]
  lookUps: LookUp[]
}

/**
 * Creates a coalescer, which turns the look-ups of one turn of the event loop into one command. The first look-up opens
 * a batch, and the batch is sent at the end of the turn. This makes the check nearly free (P7).
 *
 * A look-up never joins a batch that was sent, because the answer may be older than the look-up. A batch that fails
 * rejects its own look-ups and no others.
 */
export function createCoalescer (readMany: ReadMany, options: CoalescerOptions): AnyExists {
  const { maxEntries, onSettled, atEndOfTurn = setImmediate } = options
  let open: Batch | undefined

  function openBatch (): Batch {
    const batch: Batch = { names: [], lookUps: [] }
    atEndOfTurn(() => { if (open === batch) sendOpenBatch() })
    return batch
  }

  function sendOpenBatch (): void {
    const batch = open
    open = undefined
    if (batch !== undefined) settle(batch, readMany, onSettled)
  }

  return function anyExists (names) {
    if (open !== undefined && open.names.length + names.length > maxEntries) sendOpenBatch()
    const batch = open ??= openBatch()
    for (const name of names) batch.names.push(name)
    return new Promise((resolve, reject) => { batch.lookUps.push({ end: batch.names.length, resolve, reject }) })
  }
}

async function settle (
  { names, lookUps }: Batch,
  readMany: ReadMany,
  onSettled: CoalescerOptions['onSettled']
): Promise<void> {
  const startedAt = performance.now()
  let error: unknown
  try {
    const values = await readMany(names)
    if (values.length !== names.length) {
      throw new Error(`${names.length} entries were asked for and ${values.length} answered.`)
    }
    share(values, lookUps)
  } catch (cause) {
    error = cause ?? new Error('The command failed and did not say why.')
    for (const { reject } of lookUps) reject(error)
  }
  onSettled?.({ lookUps: lookUps.length, seconds: (performance.now() - startedAt) / 1000, error })
}

/**
 * Settles each look-up with its values. An error about an entry fails a look-up only if no other entry was found for
 * it.
 */
function share (values: readonly Value[], lookUps: readonly LookUp[]): void {
  let index = 0
  for (const { end, resolve, reject } of lookUps) {
    let anyExists = false
    let failure: Error | undefined
    for (; index < end; index++) {
      const value = values[index]
      if (value instanceof Error) failure ??= value
      else anyExists ||= value !== null
    }
    if (failure !== undefined && !anyExists) reject(failure)
    else resolve(anyExists)
  }
}
