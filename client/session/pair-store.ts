import { SignoutError } from '../http/errors.ts'
import type { Exclusively } from '../storage/locks.ts'
import { isSame, isSignedIn, type SignedIn, type Stored } from './pair.ts'
import type { TokenStorage } from '../storage/storage.ts'
import type { MonotonicClock } from '../http/timing.ts'

/** The stored pair. A newer pair is never replaced by an older one, also if a storage fails or a tab is slow. */
export interface PairStore {
  /** Returns what is stored now. Rejects with `storage_failed` if that is not known. */
  read (): Promise<Stored>
  /**
   * Returns what is stored, or what was stored last if the storage fails. Good for an access token, not for a refresh.
   */
  peek (): Promise<Stored>
  /**
   * Stores a value if nothing has changed since `before` was read. Returns what is stored then: the value, or a newer
   * one of another tab. If the storage fails, this client goes on with the value.
   */
  replace (before: Stored, next: Stored): Promise<Stored>
  /** Stores a value that depends on the present one. Returns both. For what a user does: signing in and out. */
  change (next: (present: Stored) => Stored): Promise<{ before: Stored, after: Stored }>
  /** True if the lifetime of the access token is over for sure, by the monotonic clock of this tab. */
  isExpired (pair: SignedIn): boolean
}

export interface PairStoreOptions {
  key: string
  storage: TokenStorage
  exclusively: Exclusively
  now: MonotonicClock
  /** Called with each value that is read or stored, also if it is the one before. */
  onSeen (stored: Stored): void
  onStorageFailed (error: SignoutError): void
}

export function createPairStore (options: PairStoreOptions): PairStore {
  const { exclusively, now, onSeen } = options
  const { load, save } = createSavedText(options)
  let last: Stored
  /** When this tab saw the pair first. It was issued before, so it expires no later than it seems to. */
  let lastAt = now()

  function see (stored: Stored): Stored {
    if (!isSame(stored, last)) lastAt = now()
    last = stored
    onSeen(stored)
    return stored
  }
  const read = async () => see(parse(await load()))
  async function change (next: (present: Stored) => Stored) {
    return await exclusively('write', async () => {
      const before = await read().catch(() => last)
      const after = next(before)
      if (after === before) return { before, after }
      await save(JSON.stringify(after))
      return { before, after: see(after) }
    })
  }

  return {
    read,
    peek: async () => await read().catch((error: unknown) => {
      if (last === undefined) throw error
      return last
    }),
    async replace (before, next) {
      const { after } = await change(present => isSame(present, before) ? next : present)
      return after
    },
    change,
    isExpired: pair => isSame(pair, last) && now() - lastAt >= pair.expiresIn * 1000
  }
}

/** A text in the storage. While it cannot be stored, it is kept in memory, until another tab stores one. */
function createSavedText ({ key, storage, onStorageFailed }: PairStoreOptions) {
  /** The text in the storage, as it was read or written last; undefined before that. */
  let known: { text: string | undefined } | undefined
  let unsaved: string | undefined

  async function trySave (text: string): Promise<void> {
    await storage.set(key, text)
    known = { text }
    unsaved = undefined
  }
  return {
    async load (): Promise<string | undefined> {
      let text: string | undefined
      try {
        text = await storage.get(key) ?? undefined
      } catch (cause) {
        if (unsaved !== undefined) return unsaved
        throw failed(cause)
      }
      const isChanged = known !== undefined && known.text !== text
      known = { text }
      if (isChanged) unsaved = undefined
      if (unsaved === undefined) return text
      const kept = unsaved
      // Other tabs need it: the token in the storage is spent.
      await trySave(kept).catch(() => {})
      return kept
    },
    async save (text: string): Promise<void> {
      unsaved = text
      try {
        await trySave(text)
      } catch (cause) {
        onStorageFailed(failed(cause))
      }
    }
  }
}

const failed = (cause: unknown) =>
  new SignoutError('storage_failed', 'The storage of the tokens failed.', { cause })

/** Returns the value of a text. Anything else than a value of this client counts as nothing. */
function parse (text: string | undefined): Stored {
  try {
    const value = Object(JSON.parse(text ?? 'null')) as NonNullable<Stored>
    return typeof value.session === 'string' && ('end' in value || isSignedIn(value)) ? value : undefined
  } catch {
    return undefined
  }
}
