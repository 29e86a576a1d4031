import type { TokenStorage } from './storage.ts'
import { pause, type MonotonicClock } from '../http/timing.ts'

/** The part of the Web Locks API that the client uses. */
export interface WebLocks {
  request<T> (name: string, work: () => Promise<T>): Promise<T>
}

/**
 * Runs work while no other work runs under the same name: `write` for changes of the storage, which takes no network,
 * and `refresh` for what changes the pair at the service.
 */
export type Exclusively = <T>(name: 'write' | 'refresh', work: () => Promise<T>) => Promise<T>

/** How long a lease that does not change is respected. Its holder may have been closed. */
export const leaseMs = 5_000

/**
 * With Web Locks, exclusion holds over all tabs. Without them, it holds in this client, and a lease in the storage
 * keeps the others from refreshing. Two tabs that take the lease at the same moment both refresh: the service then
 * gives both the same pair, within its `REFRESH_GRACE`.
 */
export function createExclusively (name: string, storage: TokenStorage, now: MonotonicClock): Exclusively {
  const { locks } = (globalThis as { navigator?: { locks?: WebLocks } }).navigator ?? {}
  if (locks !== undefined) return (part, work) => withWebLock(locks, `${name}:${part}`, work, part === 'refresh')
  const tails = new Map<string, Promise<unknown>>()
  return async (part, work) => {
    const before = tails.get(part)
    const turn = (async () => {
      await before
      return part === 'refresh' ? await withLease(`${name}:lease`, storage, now, work) : await work()
    })()
    tails.set(part, turn.catch(() => {}))
    return await turn
  }
}

/** The tabs of a browser may be several processes. A change of `localStorage` reaches the others a moment later. */
const spreadMs = 50

/** Runs work with a Web Lock, and keeps the lock until other tabs can see what the work has stored. */
function withWebLock<T> (locks: WebLocks, name: string, work: () => Promise<T>, spreads: boolean): Promise<T> {
  return new Promise((resolve, reject) => {
    locks.request(name, async () => {
      const done = work()
      done.then(resolve, reject)
      await done.catch(() => {})
      if (spreads) await pause(spreadMs)
    }).catch(reject)
  })
}

/** Runs work with a lease. Needs no clock that other tabs share: a lease that stays the same is over. */
async function withLease<T> (
  key: string, storage: TokenStorage, now: MonotonicClock, work: () => Promise<T>
): Promise<T> {
  const own = String(Math.random())
  try {
    await takeLease(key, own, storage, now)
  } catch {
    // Without a storage there is nothing that other tabs could share.
  }
  try {
    return await work()
  } finally {
    try {
      if (await storage.get(key) === own) await storage.remove(key)
    } catch {
      // The lease runs out.
    }
  }
}

async function takeLease (key: string, own: string, storage: TokenStorage, now: MonotonicClock): Promise<void> {
  let seen: string | undefined
  let seenAt = now()
  for (;;) {
    const holder = await storage.get(key) ?? undefined
    if (holder !== undefined && holder !== seen) {
      seen = holder
      seenAt = now()
    } else if (holder === undefined || now() - seenAt >= leaseMs) {
      await storage.set(key, own)
      // Of tabs that write at the same moment, the last one has it.
      await pause(30 * (1 + Math.random()))
      if (await storage.get(key) === own) return
      continue
    }
    await pause(50)
  }
}
