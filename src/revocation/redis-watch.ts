import { mayForget, type RedisFlaw } from './redis-audit.ts'
import type { RedisLosses } from './redis-losses.ts'

export interface RedisWatchOptions {
  audit: () => Promise<RedisFlaw[]>
  losses: RedisLosses
  /** Told when other flaws are found than before, and with an empty list when they are gone. */
  onFlaws: (flaws: RedisFlaw[]) => void
  /** Forgets all markers, so that everything is written again. */
  forgetMarkers: () => Promise<void>
}

/** Looks after a Redis while the service runs, since whoever administers it may change their mind. */
export interface RedisWatch {
  start (): void
  stop (): void
  /** Looks now. */
  look (): Promise<void>
}

const everyMs = 10_000

export function createRedisWatch ({ audit, losses, onFlaws, forgetMarkers }: RedisWatchOptions): RedisWatch {
  let timer: NodeJS.Timeout | undefined
  let known = ''
  /** Whether entries may be missing because of what was found, and whether Redis says so to whoever comes later. */
  let mayLack = false
  let isDoubted = false
  let isStopped = false

  async function suspect (): Promise<void> {
    mayLack = true
    isDoubted = false
    await losses.doubt()
    isDoubted = true
  }

  /** What was trusted before would be trusted again: so this comes first. Of several replicas one is enough. */
  async function settle (): Promise<void> {
    if (mayLack) await (isDoubted ? losses.settle() : forgetMarkers())
    mayLack = false
  }

  async function look (): Promise<void> {
    await losses.check()
    const flaws = await audit()
    const found = flaws.map(({ kind, at }) => `${kind} ${at}`).join()
    if (found === '' && known !== '') await settle()
    if (found !== known) onFlaws(flaws)
    known = found
    if (flaws.some(mayForget)) await suspect()
  }

  function watch (): void {
    // A Redis that cannot be written to is asked again. What was found about it before counts until then.
    look().catch(() => {}).finally(() => { if (!isStopped) timer = setTimeout(watch, everyMs).unref() })
  }

  return {
    // At once: what was found out at the start may have changed.
    start: watch,
    stop () {
      isStopped = true
      clearTimeout(timer)
    },
    look
  }
}
