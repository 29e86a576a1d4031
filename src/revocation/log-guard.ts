import { positionReached } from './marker.ts'
import { createMarkerJudge, type Look } from './marker-judge.ts'
import type { Progress } from './projection.ts'
import type { RevocationLog } from './revocation-log.ts'

/** The blocklist answers, and what it answers counts for nothing now: it may have forgotten something. */
export class UntrustedError extends Error {
  override readonly name = 'UntrustedError'
  /** When it may be otherwise, as far as one can tell. */
  readonly retryAfterSeconds: number
  /** How far a rebuild has come, while there is one. */
  readonly progress: Progress | undefined
  /** Whether it lacks something that a replay brings, so that waiting for that is all there is to do. */
  readonly isRebuilding: boolean
  constructor (reason: string, retryAfterSeconds: number, progress?: Progress, isRebuilding = progress !== undefined) {
    super(reason)
    this.retryAfterSeconds = retryAfterSeconds
    this.progress = progress
    this.isRebuilding = isRebuilding
  }
}

/**
 * Decides whether what a blocklist answers can be trusted, by the marker that came with the answer (P2).
 *
 * An answer counts only when it came on the connection on which it was asked, its marker is of the record as it is now, and
 * the marker has not gone back. After a connection was made, and whenever one of these failed, nothing counts until the
 * marker has reached the head of the record as it was read afterwards: whatever was answered to anyone is before that.
 */
export interface Guard {
  /** To be called when a look-up is sent. */
  look (): Look
  /** Throws an {@link UntrustedError} unless the answer that came with this marker counts. */
  judge (look: Look, marker: string | null | undefined): void
}

export interface LogGuardOptions {
  log: Pick<RevocationLog, 'readHead'>
  /** Told when it stops trusting, with the reason, and when it trusts again. */
  onDistrust?: (reason: string) => void
  onTrust?: () => void
  /** A clock that nobody sets, in milliseconds. */
  now?: () => number
}

export interface LogGuard extends Guard {
  /** To be called when the connection was made, or lost. */
  connectionChanged (): void
  /** Refuses everything for a reason that no marker shows, until it is called without one. */
  suspend (reason: string | undefined): void
  /** How far a rebuild has come, as it was heard of last; for an honest Retry-After. */
  heard (progress: Progress | undefined): void
  readonly progress: Progress | undefined
  /** Whether the last answer counted. */
  readonly isTrusting: boolean
  /** The head that was read last, and how far the marker, or the claim in its place, had come when it was seen last. */
  readonly positions: { head: number | undefined, marker: number }
  start (): void
  stop (): void
}

const pollMs = 900
const compareAgainMs = 100

export function createLogGuard (options: LogGuardOptions): LogGuard {
  const { log, now = () => performance.now() } = options
  const judge = createMarkerJudge(now)
  const poll = createPoll(compare, () => judge.isWaiting ? compareAgainMs : pollMs)
  let suspended: string | undefined
  let isTrusting = false
  /** Whether the blocklist was found to lack something, and did not count since. */
  let isRebuilding = false
  let reached = 0
  let progress: Progress | undefined

  async function compare (): Promise<void> {
    const { epoch } = judge
    try {
      judge.learn(await log.readHead(), epoch)
    } catch {
      // It says nothing new, and does not take back what was trusted.
      judge.missed()
    }
  }

  function refuse (reason: string): UntrustedError {
    if (isTrusting) options.onDistrust?.(reason)
    isTrusting = false
    if (judge.isWaiting) poll.hasten()
    return new UntrustedError(reason, Math.min(60, Math.max(1, Math.ceil(progress?.remainingSeconds ?? 1))), progress, isRebuilding && suspended === undefined)
  }

  function distrust (reason: string): void {
    judge.forget()
    refuse(reason)
  }

  return {
    look: () => judge.look(),
    judge (look, marker) {
      reached = positionReached(marker, judge.logId)
      const flaw = suspended === undefined ? judge.findFlaw(look, marker) : { reason: suspended, isLacking: false }
      if (flaw !== undefined) {
        isRebuilding ||= flaw.isLacking
        throw refuse(flaw.reason)
      }
      if (!isTrusting) options.onTrust?.()
      isTrusting = true
      isRebuilding = false
      progress = undefined
    },
    connectionChanged () {
      isRebuilding = false
      distrust('The connection to the blocklist changed.')
    },
    suspend (reason) {
      suspended = reason
      if (reason !== undefined) distrust(reason)
    },
    heard (heardProgress) { progress = heardProgress },
    get progress () { return progress },
    get isTrusting () { return isTrusting },
    get positions () { return { head: judge.head, marker: reached } },
    start: poll.start,
    stop: poll.stop
  }
}

/** Does something again and again, and sooner when it is told to, but never twice at once nor all the time. */
function createPoll (work: () => Promise<void>, restMs: () => number): { start (): void, stop (): void, hasten (): void } {
  let timer: NodeJS.Timeout | undefined
  let doneAt = -Infinity
  let isRunning = false
  let isHastened = false
  let isWorking = false

  function schedule (): void {
    clearTimeout(timer)
    if (!isRunning) return
    timer = setTimeout(() => {
      isWorking = true
      isHastened = false
      work().finally(() => {
        isWorking = false
        doneAt = performance.now()
        schedule()
      })
    }, isHastened ? Math.max(0, doneAt + compareAgainMs - performance.now()) : restMs()).unref()
  }

  return {
    start () {
      isRunning = true
      isHastened = true
      schedule()
    },
    stop () {
      isRunning = false
      clearTimeout(timer)
    },
    hasten () {
      // Asked for by every look-up that is refused: setting the timer anew each time would put it off for ever.
      if (isHastened) return
      isHastened = true
      if (!isWorking) schedule()
    }
  }
}
