import { randomUUID } from 'node:crypto'
import { newClaim, parseMarker, type LogPosition } from './marker.ts'
import type { Projection } from './projection.ts'
import { replay, type Replay } from './replay.ts'
import type { RevocationLog } from './revocation-log.ts'

export type { Replay } from './replay.ts'

export interface TailOptions {
  log: RevocationLog
  projection: Projection
  onCaughtUp?: (replay: Replay) => void
  /** Told when the record had lost its end, and goes on under another name. */
  onLogRenamed?: (marker: LogPosition, head: LogPosition) => void
  /** Told of what keeps it from its work, once until it works again. */
  onFailure?: (error: unknown) => void
}

/**
 * Keeps the blocklist up with the record (P2), as docs/revocation.md explains. Boot, catching up and rebuilding after Redis
 * has lost its data are the same: write every live row after the marker, and move the marker past them.
 *
 * Every replica runs one; the one that has the lease works. Nothing rests on there being only one: others would be refused.
 */
export interface Tail {
  start (): void
  /** Does a round now instead of when it is due. */
  wake (): void
  /** Does one round. */
  round (): Promise<void>
  /** Resolves when it rests, and lets another replica take over at once. */
  stop (): Promise<void>
}

const intervalMs = 1_000
/** Soon, and not so soon that a tail that is refused again and again does nothing else. */
const startOverMs = 50
/** Longer than a round that has nothing to do; and whoever takes over has moved the marker before replicas stop trusting it. */
const leaseSeconds = 2

export function createTail (options: TailOptions): Tail {
  const { log, projection } = options
  const holder = randomUUID()
  let timer: NodeJS.Timeout | undefined
  let running: Promise<unknown> | undefined
  let hasLease = false
  let hasFailed = false
  let isStopped = false
  let isWoken = false

  async function round (): Promise<void> {
    try {
      // Asked first: whoever cannot reach the blocklist leaves the lease to one who can.
      await projection.reach()
      hasLease = await log.lease(holder, leaseSeconds)
      // Starting over is part of the work.
      if (hasLease && !await keepUp(options, () => log.lease(holder, leaseSeconds))) isWoken = true
      hasFailed = false
    } catch (error) {
      if (!hasFailed) options.onFailure?.(error)
      hasFailed = true
      await handOver()
    }
  }

  /** Lets another replica take over at once, which waits for the lease to run out otherwise. */
  async function handOver (): Promise<void> {
    if (hasLease) await log.release(holder).catch(() => {})
    hasLease = false
  }

  function schedule (): void {
    if (isStopped || running !== undefined) return
    clearTimeout(timer)
    timer = setTimeout(() => {
      isWoken = false
      running = round().finally(() => {
        running = undefined
        schedule()
      })
    }, isWoken ? startOverMs : intervalMs).unref()
  }

  return {
    start () { this.wake() },
    wake () {
      isWoken = true
      schedule()
    },
    round,
    async stop () {
      isStopped = true
      clearTimeout(timer)
      await running
      await handOver()
    }
  }
}

/**
 * Brings the blocklist up with the record. Answers false when it was refused, and has to start over.
 *
 * @param onPage called now and then while it takes long
 */
async function keepUp ({ log, projection, onLogRenamed, onCaughtUp }: TailOptions, onPage: () => Promise<unknown>): Promise<boolean> {
  const { logId } = await log.readHead()
  const found = await projection.begin(logId, newClaim())
  // Read after the marker: whoever moved it had recorded before that it would.
  const head = await log.readHead()
  if (head.logId !== logId) return false
  const marker = parseMarker(found)
  if (marker !== undefined && marker.position > head.marked) {
    // The record has lost its end: it was restored from a backup. What the blocklist has beyond stays there.
    if (await log.rename(logId)) onLogRenamed?.(marker, head)
    return false
  }
  // No position has been given out beyond it.
  if (marker?.position === head.position) return true
  const settled = await log.settleHead()
  if (marker !== undefined && marker.position >= settled.position) return true
  if (settled.logId !== logId || !await log.willMark(settled)) return false
  const replayed = await replay({ log, projection, onPage }, { found, from: marker, to: settled })
  if (replayed !== undefined) onCaughtUp?.(replayed)
  return replayed !== undefined
}
