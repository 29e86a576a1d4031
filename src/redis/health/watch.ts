import { createPoll } from '../../timing/poll.ts'
import { mayForget, type RedisFlaw } from './examination.ts'

/**
 * Detects entries that Redis may have lost though its marker is there. There are two causes: eviction, and a wrong
 * clock that ended entries early. Neither shows in the marker, and either may happen while no replica runs.
 *
 * Two keys beside the marker show them. The note says which server it was, and how many keys it had evicted. A doubt
 * says that a replica has found such a cause. If the note is wrong, or there is a doubt, the marker is deleted once for
 * all replicas, and the projector rebuilds.
 */
export interface RedisLosses {
  /**
   * Deletes the markers of the shards that may have lost entries. A shard that does not answer is left for the next
   * time. Resolves to true if a marker had to be deleted and Redis refused writes.
   */
  check (): Promise<boolean>
  /**
   * Leaves a doubt: entries may be missing, even if a marker says otherwise. Idempotent. Rejects unless every shard has
   * it.
   */
  doubt (): Promise<void>
  /**
   * Deletes the markers and the doubts of the shards with a doubt. Idempotent. Rejects unless every shard has answered.
   */
  settle (): Promise<void>
}

export interface RedisWatchOptions {
  audit: () => Promise<RedisFlaw[]>
  /** Returns true when the clock of a server was set back since it was called last. */
  takeSetBack?: () => boolean
  losses: RedisLosses
  /** Called when the flaws change, and with an empty list when all are cured. */
  onFlaws: (flaws: RedisFlaw[]) => void
  /** Deletes all markers, so that everything is written again. */
  forgetMarkers: () => Promise<void>
}

/** Examines Redis again and again while the service runs, since its configuration may change. */
export interface RedisWatch {
  start (): void
  stop (): void
  /** Examines Redis now. Rejects when a doubt could not be left, or a marker could not be deleted. */
  look (): Promise<void>
  /**
   * Call it when clocks begin to differ, or agree again. Reports the flaws at once. Then examines Redis as soon as
   * possible, since only that finds that they are cured.
   */
  clocksChanged (flaws: RedisFlaw[]): void
}

const everyMs = 10_000
/** The pause between two looks when the second one is wanted at once, in milliseconds. */
const hastenedMs = 50

/** Reported while entries may be missing and the markers cannot be deleted. */
const unsettled: RedisFlaw = {
  kind: 'unsettled',
  what: 'may have dropped revocations, and refuses to forget the marker',
  cure: 'Make it accept writes. The blocklist is rebuilt then.'
}

/** Creates the watch, which does nothing until it is started. */
export function createRedisWatch ({
  audit,
  takeSetBack = () => false,
  losses,
  onFlaws,
  forgetMarkers
}: RedisWatchOptions): RedisWatch {
  let known = ''
  /** True if entries may be missing because of a flaw, and true if the doubt in Redis tells other replicas so. */
  let mayLack = false
  let isDoubted = false

  async function suspect (): Promise<void> {
    mayLack = true
    isDoubted = false
    await losses.doubt()
    isDoubted = true
  }

  /** Deletes the markers before answers are trusted again. If there is a doubt, one replica does that for all. */
  async function settle (): Promise<void> {
    if (mayLack) await (isDoubted ? losses.settle() : forgetMarkers())
    mayLack = false
  }

  function tell (flaws: RedisFlaw[]): void {
    const found = keyOf(flaws)
    if (found !== known) onFlaws(flaws)
    known = found
  }

  /** Settles, or reports that it failed: a Redis that refuses to delete a marker still answers look-ups. */
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

  // A look that fails is repeated. The known flaws count until then.
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
