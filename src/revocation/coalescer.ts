import type { LookUpBatch } from '../events/blocklist-events.ts'
import { RecordedError, type Value } from '../trust/trust.ts'

/** Reads the values of entries in one command, in their order. */
export type ReadMany = (names: readonly string[]) => Promise<readonly Value[]>

/** An entry that many look-ups of a batch share, and that is read once for all of them. */
export interface SharedEntry {
  name: string
  /**
   * The instant of the token, in seconds since the epoch. The entry revokes it if it holds a later instant. Undefined:
   * the entry revokes the token whatever it holds.
   */
  at?: number | undefined
}

/**
 * Resolves to true if any of the entries exists, or if a shared entry revokes the token. Rejects when the command
 * failed. Also rejects when nothing revokes the token and the answer about one of its entries does not count.
 */
export type AnyExists = (names: readonly string[], shared?: readonly SharedEntry[]) => Promise<boolean>

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
  shared: readonly SharedEntry[]
  resolve (anyExists: boolean): void
  reject (error: unknown): void
}

interface Batch {
  names: string[]
  /** The names of shared entries, in the order in which they are read, before all others. */
  shared: Set<string>
  lookUps: LookUp[]
}

const noneShared: readonly SharedEntry[] = []

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
    const batch: Batch = { names: [], shared: new Set(), lookUps: [] }
    atEndOfTurn(() => { if (open === batch) sendOpenBatch() })
    return batch
  }

  function sendOpenBatch (): void {
    const batch = open
    open = undefined
    if (batch !== undefined) settle(batch, readMany, onSettled)
  }

  return function anyExists (names, shared = noneShared) {
    const added = names.length + shared.length
    if (open !== undefined && open.names.length + open.shared.size + added > maxEntries) sendOpenBatch()
    const batch = open ??= openBatch()
    for (const name of names) batch.names.push(name)
    for (const { name } of shared) batch.shared.add(name)
    return new Promise((resolve, reject) => {
      batch.lookUps.push({ end: batch.names.length, shared, resolve, reject })
    })
  }
}

async function settle (
  { names, shared, lookUps }: Batch,
  readMany: ReadMany,
  onSettled: CoalescerOptions['onSettled']
): Promise<void> {
  const startedAt = performance.now()
  let error: unknown
  try {
    const asked = shared.size === 0 ? names : [...shared, ...names]
    const values = await readMany(asked)
    if (values.length !== asked.length) {
      throw new Error(`${asked.length} entries were asked for and ${values.length} answered.`)
    }
    const bounds = new Map([...shared].map((name, index) => [name, readBound(name, values[index] ?? null)]))
    share(values, bounds, lookUps)
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
function share (values: readonly Value[], bounds: ReadonlyMap<string, Bound>, lookUps: readonly LookUp[]): void {
  let index = bounds.size
  for (const { end, shared, resolve, reject } of lookUps) {
    let anyExists = false
    let failure: Error | undefined
    const note = (value: Error | boolean) => {
      if (value instanceof Error) failure ??= value
      else anyExists ||= value
    }
    for (; index < bounds.size + end; index++) {
      const value = values[index] as Value
      note(value instanceof Error ? value : value !== null)
    }
    for (const { name, at } of shared) note(isBefore(bounds.get(name), at))
    if (failure !== undefined && !anyExists) reject(failure)
    else resolve(anyExists)
  }
}

/** The meaning of a shared entry: tokens of an earlier instant are revoked. 0 if there is no entry. */
type Bound = number | Error

/** Reads a shared entry. A text that is no number is an error: it may be of a version that writes another form. */
function readBound (name: string, value: Value): Bound {
  if (value === null) return 0
  if (value instanceof Error) return value
  if (/^\d{1,12}$/.test(value)) return Number(value)
  return new Error(`The entry ${name} of the blocklist does not hold a number.`)
}

function isBefore (bound: Bound | undefined, at: number | undefined): boolean | Error {
  if (typeof bound === 'number') return bound > 0 && !(at !== undefined && at >= bound)
  if (!(bound instanceof RecordedError) || bound.issuedBefore === undefined) return bound ?? new Error('no answer')
  // Redis holds an earlier instant than the record, and its entry revokes the tokens before that one already.
  if (isBefore(bound.found, at) === true) return true
  return isBefore(bound.issuedBefore, at) === true ? bound : false
}
