import { createPoll } from '../../timing/poll.ts'
import { mayForget, type RedisFlaw } from './examination.ts'

/**
 * What a Redis may have lost though its marker is there: keys that it evicted, and entries that ended early by a clock
 * that was wrong. Both go without a trace in the marker, and at any time, also while no replica runs. So it is noted in
 * Redis, beside the marker, which server it was and how much that had evicted; and whoever finds something that makes a
 * Redis forget leaves a doubt there. Where the note is wrong, or there is a doubt, the marker is forgotten, once for
 * all replicas, and everything is written again.
 */
export interface RedisLosses {
  /**
   * Forgets the markers of those shards that may have lost something. Those that cannot be asked are left for the next
   * time. Returns whether a marker had to be forgotten and Redis refused to write.
   */
  check (): Promise<boolean>
  /** Leaves a doubt: entries may be missing, whatever the markers say. Rejects unless every shard has it. */
  doubt (): Promise<void>
  /** Forgets the markers where there is a doubt, and the doubt. Rejects unless every shard has been asked. */
  settle (): Promise<void>
}

export interface RedisWatchOptions {
  audit: () => Promise<RedisFlaw[]>
  /** Returns true when the clock of a server was set back since it was called last. */
  takeSetBack?: () => boolean
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
  /**
   * To be called when clocks begin to differ, or agree again. Tells of the flaws at once, and looks as soon as
   * possible: only a look finds that they are gone.
   */
  clocksChanged (flaws: RedisFlaw[]): void
}

const everyMs = 10_000
/** Between two looks, when the second one is wanted at once. */
const hastenedMs = 50

/** What is told while entries may be missing and the markers cannot be forgotten. */
const unsettled: RedisFlaw = {
  kind: 'unsettled',
  what: 'may have dropped revocations, and refuses to forget the marker',
  cure: 'Make it accept writes. The blocklist is rebuilt then.'
}

export function createRedisWatch ({
  audit,
  takeSetBack = () => false,
  losses,
  onFlaws,
  forgetMarkers
}: RedisWatchOptions): RedisWatch {
  let known = ''
  /** Whether entries may be missing because of what was found, and whether Redis says so to whoever comes later. */
  let mayLack = false
  let isDoubted = false

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

  function tell (flaws: RedisFlaw[]): void {
    const found = keyOf(flaws)
    if (found !== known) onFlaws(flaws)
    known = found
  }

  /** What could not be forgotten must not be trusted either: a Redis that refuses writes still answers look-ups. */
  async function settleOrTell (): Promise<void> {
    try {
      await settle()
    } catch (error) {
      if (known === '') tell([unsettled])
      throw error
    }
  }

  async function look (): Promise<void> {
    const wasRefused = await losses.check()
    const flaws = await audit()
    // Entries that ended while the clock was ahead are missing now that it is back.
    if ((takeSetBack() || wasRefused) && !mayLack) {
      mayLack = true
      isDoubted = false
    }
    if (flaws.length === 0) await settleOrTell()
    tell(flaws)
    if (flaws.some(mayForget)) await suspect()
  }

  // A Redis that cannot be written to is asked again. What was found about it before counts until then.
  const poll = createPoll(() => look().catch(() => {}), { everyMs, hastenedMs })

  return {
    // At once: what was found out at the start may have changed.
    start: poll.start,
    stop: poll.stop,
    look,
    clocksChanged (flaws) {
      if (flaws.length > 0) tell(flaws)
      poll.hasten()
    }
  }
}

function keyOf (flaws: readonly RedisFlaw[]): string {
  return flaws.map(({ kind, at }) => `${kind} ${at}`).join()
}
