import { randomUUID } from 'node:crypto'
import type { BlocklistEmitter } from '../events/blocklist-events.ts'
import { withDeadline } from '../timing/deadline.ts'
import { newDraft, parseMarker, type RecordPosition } from './marker.ts'
import type { ProjectionShard } from './projection.ts'
import { isFarBehind, catchUp, type Lag } from './catch-up.ts'
import type { RevocationRecord } from './record.ts'

export interface ProjectorOptions {
  record: RevocationRecord
  shards: readonly ProjectionShard[]
  /** Gets `caughtUp`, `recordRenamed` and `projectorFailed`. */
  events?: BlocklistEmitter | undefined
}

/**
 * Keeps the blocklist up with the record (P2), as docs/revocation.md explains. Boot, catching up and rebuilding after
 * Redis has lost its data are the same: write every live row after the marker, and move the marker past them.
 *
 * Every replica runs one; the one that has the lease works. Nothing rests on there being only one: others would be
 * refused.
 *
 * Of a blocklist in several shards each has a marker of its own. One that cannot be reached or refuses a step is left
 * behind until the next round, and one that has much to catch up with does so on its own, while the rounds of the
 * others go on.
 */
export interface Projector {
  start (): void
  /** Does a round now instead of when it is due. */
  wake (): void
  /** Does one round, and what takes longer with it. */
  round (): Promise<void>
  /**
   * Resolves when it rests, and lets another replica take over at once. A rebuild is left where it is, at its next
   * page.
   */
  stop (): Promise<void>
}

const intervalMs = 1_000
/** Soon, and not so soon that a projector that is refused again and again does nothing else. */
const startOverMs = 50
/**
 * Longer than a round that has nothing to do; and whoever takes over has moved the marker before replicas stop trusting
 * it.
 */
const leaseSeconds = 2

/**
 * How long one shard may keep the others waiting: what it was asked may still be done, and it is looked at again in the
 * next round.
 */
const shardDeadlineMs = 1_000

export function createProjector (options: ProjectorOptions): Projector {
  let timer: NodeJS.Timeout | undefined
  let running: Promise<unknown> | undefined
  let isStarted = false
  /** Until the next round. The first one is done at once. */
  let delayMs = 0
  const stopping = new AbortController()
  const rounds = createRounds(options, wake, stopping.signal)

  function schedule (): void {
    if (!isStarted || stopping.signal.aborted || running !== undefined) return
    clearTimeout(timer)
    timer = setTimeout(() => {
      delayMs = intervalMs
      running = rounds.next().finally(() => {
        running = undefined
        schedule()
      })
    }, delayMs).unref()
  }

  function wake (): void {
    delayMs = Math.min(delayMs, startOverMs)
    schedule()
  }

  return {
    start () {
      isStarted = true
      schedule()
    },
    wake,
    async round () {
      await rounds.next()
      await rounds.rest()
    },
    async stop () {
      stopping.abort()
      clearTimeout(timer)
      await running
      await rounds.rest()
      await rounds.release()
    }
  }
}

/** What a projector does, without its clock. */
interface Rounds {
  /** Does the next one. What takes long goes on after it. */
  next (): Promise<void>
  /** Resolves when nothing goes on any more. */
  rest (): Promise<void>
  /** Lets another replica take over at once. */
  release (): Promise<void>
}

function createRounds (options: ProjectorOptions, startOverSoon: () => void, stopping: AbortSignal): Rounds {
  const { record, shards } = options
  const holder = randomUUID()
  const keepLease = () => record.lease(holder, leaseSeconds)
  let hasLease = false
  let hasFailed = false
  /** What takes long, and whose it is. */
  let rebuilding: Promise<void> | undefined
  let beingRebuilt: ReadonlySet<ProjectionShard> = new Set()

  function fail (error: unknown): void {
    if (!hasFailed) options.events?.emit('projectorFailed', error)
    hasFailed = true
  }

  /** Lets another replica take over at once, which waits for the lease to run out otherwise. */
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
    // Starting over is part of the work.
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
        // Asked first: whoever cannot reach the blocklist leaves the lease to one who can.
        await reachAny(shards)
        hasLease = await keepLease()
        if (hasLease) await follow(await look(options, shards.filter(shard => !beingRebuilt.has(shard))))
        if (rebuilding === undefined) hasFailed = false
      } catch (error) {
        fail(error)
        if (!refusesWrites(error)) await release()
      }
    },
    async rest () { await rebuilding },
    release
  }
}

/**
 * Whether Redis can be read and not be written, for a reason that is the same for every replica: it is full, or it
 * cannot store its data. NOREPLICAS and READONLY are other reasons. An old primary answers so, and another replica may
 * reach the new one.
 */
function refusesWrites (error: unknown): boolean {
  return error instanceof Error && /\b(OOM|MISCONF)\b/.test(error.message)
}

/** Rejects when no shard can be reached. */
async function reachAny (shards: readonly ProjectionShard[]): Promise<void> {
  try {
    await Promise.any(shards.map(({ projection }) => projection.reach()))
  } catch (error) {
    throw (error as AggregateError).errors[0]
  }
}

/** What a look at the shards has found. */
interface Survey {
  /** Those that are behind, and how far they have to come. */
  lags: readonly Lag[]
  to?: RecordPosition
  hasToStartOver?: boolean
  /** What kept it from looking at one of them. */
  failure?: unknown
}

const nothingToDo: Survey = { lags: [] }
const startOver: Survey = { lags: [], hasToStartOver: true }

/** Looks which shards are behind the record, and puts a draft where there is no marker of it. */
async function look ({ record, events }: ProjectorOptions, shards: readonly ProjectionShard[]): Promise<Survey> {
  if (shards.length === 0) return nothingToDo
  const { recordId } = await record.readHead()
  const begun = await Promise.allSettled(shards.map(async (shard): Promise<Lag> => {
    const found = await withDeadline(shard.projection.begin(recordId, newDraft(recordId)), shardDeadlineMs)
    return { shard, found, from: parseMarker(found) }
  }))
  // Read after the markers: whoever moved one had recorded before that it would.
  const head = await record.readHead()
  if (head.recordId !== recordId) return startOver
  const found = begun.flatMap(begun => begun.status === 'fulfilled' ? [begun.value] : [])
  const failure: unknown = begun.find(begun => begun.status === 'rejected')?.reason
  const ahead = found.find(({ from }) => from !== undefined && from.position > head.marked)
  if (ahead?.from !== undefined) {
    // The record has lost its end: it was restored from a backup. What the blocklist has beyond stays there.
    if (await record.rename(recordId)) events?.emit('recordRenamed', ahead.from, head)
    return startOver
  }
  // No position has been given out beyond it.
  if (found.every(({ from }) => from?.position === head.position)) return { lags: [], failure }
  const settled = await record.settleHead()
  const lags = found.filter(({ from }) => from === undefined || from.position < settled.position)
  if (lags.length === 0) return { lags, failure }
  if (settled.recordId !== recordId || !await record.willMark(settled)) return startOver
  return { lags, to: settled, failure }
}
