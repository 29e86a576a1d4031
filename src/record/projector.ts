import { randomUUID } from 'node:crypto'
import type { BlocklistEmitter } from '../events/blocklist-events.ts'
import { withDeadline } from '../timing/deadline.ts'
import { createPoll } from '../timing/poll.ts'
import { newDraft, parseMarker, type RecordPosition } from './marker.ts'
import type { ProjectionShard } from './projection.ts'
import { isFarBehind, catchUp, type Lag } from './catch-up.ts'
import type { RevocationRecord } from './record.ts'

export interface ProjectorOptions {
  record: RevocationRecord
  shards: readonly ProjectionShard[]
  /** Emits `caughtUp`, `recordRenamed` and `projectorFailed`. */
  events?: BlocklistEmitter | undefined
}

/**
 * Copies the record to the blocklist (P2), as docs/revocation.md explains. Start, catching up and rebuilding are one
 * operation: write every live row after the marker, and move the marker past them.
 *
 * Every replica runs a projector; the one that holds the lease works. Safety does not depend on the lease: Redis
 * refuses the steps of a second projector.
 *
 * Each shard has a marker of its own. A shard that is unreachable or refuses a step is left behind until the next
 * round. A shard that is far behind catches up beside the rounds of the others.
 */
export interface Projector {
  /** Starts the rounds, one each second. */
  start (): void
  /** Starts the next round within 50 ms. */
  wake (): void
  /** Does one round, and waits for a rebuild that it started. */
  round (): Promise<void>
  /** True if this projector held the lease at its last round, so that it is the one that works. */
  readonly hasLease: boolean
  /**
   * Stops the rounds, and releases the lease, so that another replica takes over at once. A rebuild stops at its next
   * page. Resolves when nothing is under way.
   */
  stop (): Promise<void>
}

const intervalMs = 1_000
/**
 * The delay before a refused projector starts over. It is not 0, so that repeated refusals do not keep the projector
 * busy.
 */
const startOverMs = 50
/**
 * Longer than an idle round. Short enough that another replica takes over, and moves the marker, before replicas stop
 * trusting it.
 */
const leaseSeconds = 2

/**
 * The longest that one shard may hold up the others. Its step may still be executed, and the next round looks again.
 */
const shardDeadlineMs = 1_000

export function createProjector (options: ProjectorOptions): Projector {
  let running: Promise<void> | undefined
  const stopping = new AbortController()
  const rounds = createRounds(options, wake, stopping.signal)
  const poll = createPoll(() => (running = rounds.next()), { everyMs: intervalMs, hastenedMs: startOverMs })

  function wake (): void {
    poll.hasten()
  }

  return {
    start: poll.start,
    wake,
    async round () {
      await rounds.next()
      await rounds.rest()
    },
    get hasLease () { return rounds.hasLease },
    async stop () {
      stopping.abort()
      poll.stop()
      await running
      await rounds.rest()
      await rounds.release()
    }
  }
}

/** The rounds of a projector, without their schedule. */
interface Rounds {
  /** Does one round, and never rejects. A rebuild goes on after it. */
  next (): Promise<void>
  /** True if the last round had the lease. */
  readonly hasLease: boolean
  /** Resolves when no rebuild is under way. */
  rest (): Promise<void>
  /** Releases the lease, so that another replica takes over at once. */
  release (): Promise<void>
}

function createRounds (options: ProjectorOptions, startOverSoon: () => void, stopping: AbortSignal): Rounds {
  const { record, shards } = options
  const holder = randomUUID()
  const keepLease = () => record.lease(holder, leaseSeconds)
  let hasLease = false
  let hasFailed = false
  /** The rebuild that is under way, and its shards. */
  let rebuilding: Promise<void> | undefined
  let beingRebuilt: ReadonlySet<ProjectionShard> = new Set()

  function fail (error: unknown): void {
    if (!hasFailed) options.events?.emit('projectorFailed', error)
    hasFailed = true
  }

  /** Releases the lease. Otherwise another replica would wait until it expires. */
  async function release (): Promise<void> {
    if (hasLease) await record.release(holder).catch(() => {})
    hasLease = false
  }

  async function bringUp (lags: readonly Lag[], to: RecordPosition, stepDeadlineMs?: number): Promise<void> {
    const {
      catchUp: done,
      wasRefused,
      failure
    } = await catchUp({ record, onPage: keepLease, stopping, stepDeadlineMs }, lags, to)
    if (done !== undefined) options.events?.emit('caughtUp', done)
    // A refused step is no error.
    if (wasRefused) startOverSoon()
    if (failure !== undefined) throw failure
  }

  function rebuild (lags: readonly Lag[], to: RecordPosition): void {
    beingRebuilt = new Set(lags.map(({ shard }) => shard))
    rebuilding = bringUp(lags, to).then(() => { hasFailed = false }, fail).finally(() => {
      rebuilding = undefined
      beingRebuilt = new Set()
    })
  }

  async function follow ({ lags, to, hasToStartOver, failure }: Survey): Promise<void> {
    if (hasToStartOver === true) startOverSoon()
    if (to !== undefined) {
      const far = lags.filter(({ from }) => isFarBehind(from, to))
      const near = lags.filter(({ from }) => !isFarBehind(from, to))
      if (far.length > 0 && rebuilding === undefined) rebuild(far, to)
      if (near.length > 0) await bringUp(near, to, shardDeadlineMs)
    }
    if (failure !== undefined) throw failure
  }

  return {
    async next () {
      try {
        // First: a replica that cannot reach the blocklist leaves the lease to one that can.
        await reachAny(shards)
        hasLease = await keepLease()
        if (hasLease) await follow(await look(options, shards.filter(shard => !beingRebuilt.has(shard))))
        if (rebuilding === undefined) hasFailed = false
      } catch (error) {
        fail(error)
        if (!refusesWrites(error)) await release()
      }
    },
    get hasLease () { return hasLease },
    async rest () { await rebuilding },
    release
  }
}

/**
 * Returns true if Redis refuses writes for a reason that is the same for every replica: it is full, or cannot store its
 * data. NOREPLICAS and READONLY do not count. An old primary answers with them, and another replica may reach the new
 * one.
 */
function refusesWrites (error: unknown): boolean {
  return error instanceof Error && /\b(OOM|MISCONF)\b/.test(error.message)
}

/** Resolves if any shard can be reached, and rejects otherwise. */
async function reachAny (shards: readonly ProjectionShard[]): Promise<void> {
  try {
    await Promise.any(shards.map(({ projection }) => projection.reach()))
  } catch (error) {
    throw (error as AggregateError).errors[0]
  }
}

/** The result of a look at the shards. */
interface Survey {
  /** The shards that are behind, and the head up to which they have to be written. */
  lags: readonly Lag[]
  to?: RecordPosition
  hasToStartOver?: boolean
  /** The error of a shard that could not be looked at, if there is one. */
  failure?: unknown
}

const nothingToDo: Survey = { lags: [] }
const startOver: Survey = { lags: [], hasToStartOver: true }

/**
 * Finds the shards that are behind the record. Writes a draft marker to each shard that has no marker of the record.
 */
async function look ({ record, events }: ProjectorOptions, shards: readonly ProjectionShard[]): Promise<Survey> {
  if (shards.length === 0) return nothingToDo
  const { recordId } = await record.readHead()
  const begun = await Promise.allSettled(shards.map(async (shard): Promise<Lag> => {
    const found = await withDeadline(shard.projection.begin(recordId, newDraft(recordId)), shardDeadlineMs)
    return { shard, found, from: parseMarker(found) }
  }))
  // Read after the markers: a projector records in `marked` how far it will move a marker before it does.
  const head = await record.readHead()
  if (head.recordId !== recordId) return startOver
  const found = begun.flatMap(begun => begun.status === 'fulfilled' ? [begun.value] : [])
  const failure: unknown = begun.find(begun => begun.status === 'rejected')?.reason
  const ahead = found.find(({ from }) => from !== undefined && from.position > head.marked)
  if (ahead?.from !== undefined) {
    // The record has lost its end: Postgres was restored from a backup. Entries beyond it stay in the blocklist.
    if (await record.rename(recordId)) events?.emit('recordRenamed', ahead.from, head)
    return startOver
  }
  // Every marker is at the head.
  if (found.every(({ from }) => from?.position === head.position)) return { lags: [], failure }
  const settled = await record.settleHead(recordId)
  if (settled === undefined) return startOver
  const lags = found.filter(({ from }) => from === undefined || from.position < settled.position)
  if (lags.length === 0) return { lags, failure }
  return { lags, to: settled, failure }
}
