import type { RedisFlaw } from './redis-audit.ts'

export interface RedisWatchOptions {
  audit: () => Promise<RedisFlaw[]>
  /** How many keys each server has evicted since it started, by where it is. */
  countEvictedKeys: () => Promise<ReadonlyMap<string, number>>
  /** Told when flaws appear, and with an empty list when they are gone. */
  onFlaws: (flaws: RedisFlaw[]) => void
  /** Told when entries may have been dropped: what is there must be made again. */
  onEviction: () => Promise<void>
}

/** Looks after a Redis while the service runs, since whoever administers it may change their mind. */
export interface RedisWatch {
  start (): void
  stop (): void
  /** Looks now. */
  look (): Promise<void>
}

const everyMs = 10_000

export function createRedisWatch (options: RedisWatchOptions): RedisWatch {
  let timer: NodeJS.Timeout | undefined
  let known = ''
  let evicted: ReadonlyMap<string, number> = new Map()
  let couldEvict = false
  let isStopped = false

  async function look (): Promise<void> {
    const flaws = await options.audit()
    const counts = await options.countEvictedKeys()
    const canEvict = flaws.some(({ kind }) => kind === 'eviction')
    // A restart counts from 0 again, and a restart without data is found out by its marker.
    const hasEvicted = [...counts].some(([at, count]) => count > (evicted.get(at) ?? Infinity))
    if (hasEvicted || (couldEvict && !canEvict)) await options.onEviction()
    evicted = counts
    couldEvict = canEvict
    const found = flaws.map(({ kind }) => kind).join()
    if (found !== known) options.onFlaws(flaws)
    known = found
  }

  function watch (): void {
    // A Redis that cannot be asked is noticed by every look-up.
    look().catch(() => {}).finally(() => { if (!isStopped) timer = setTimeout(watch, everyMs).unref() })
  }

  return {
    // At once, so that what is dropped from now on is counted.
    start: watch,
    stop () {
      isStopped = true
      clearTimeout(timer)
    },
    look
  }
}
