import { createHeadPoll, type HeadPoll } from './head-poll.ts'
import { positionReached } from '../record/marker.ts'
import { createMarkerCheck, type Look, type MarkerCheck } from './marker-check.ts'
import type { Progress } from '../record/projection.ts'
import { maxPositionsBehind, type Head, type RevocationRecord } from '../record/record.ts'

/** The blocklist answers, and what it answers counts for nothing now: it may have forgotten something. */
export class UntrustedError extends Error {
  override readonly name = 'UntrustedError'
  /** When it may be otherwise, as far as one can tell. */
  readonly retryAfterSeconds: number
  /** How far a rebuild has come, while there is one. */
  readonly progress: Progress | undefined
  /** Whether it lacks something that catching up brings, so that waiting for that is all there is to do. */
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
  /**
   * Returns undefined when the answer that came with this marker counts. Returns the marker's position when the record has
   * gone on without it, or has to be read again: the answer then counts only if {@link Guard.confirm} accepts it. Throws an
   * {@link UntrustedError} for every other answer.
   */
  judge (look: Look, marker: string | null | undefined): number | undefined
  /**
   * Confirms an answer whose marker is behind, by the record as it was read after the look-up was sent. Throws an
   * {@link UntrustedError} when something has changed since, when the record has lost what the marker stands for, or when the
   * marker is too far behind for all revocations after it to have been read.
   */
  confirm (look: Look, position: number, record: Head): void
  /** Takes note that an answer does not count, and returns the error that says so. */
  refuse (reason: string): UntrustedError
}

/**
 * What the answers of the blocklist are worth: they count by the marker alone, or because the record was asked as well, or not
 * at all.
 */
export type Trust = 'trusted' | 'behind' | 'untrusted'

export interface RecordTrustOptions {
  /** Tells the head of the record. */
  record: Pick<RevocationRecord, 'readHead' | 'readAfter'>
  /** Reads it for several guards at once; each has its own otherwise. */
  heads?: HeadPoll
  /** Called when answers become worth something else, with the reason when they do not count any more. */
  onTrust?: (trust: Trust, reason?: string) => void
  /** A clock that nobody sets, in milliseconds. */
  now?: () => number
}

export interface RecordTrust extends Guard {
  /** To be called when the connection was made, or lost. */
  connectionChanged (): void
  /** Refuses everything for a reason that no marker shows, until it is called without one by the same. */
  suspend (reason: string | undefined, by?: 'audit' | 'mender'): void
  /** How far a rebuild has come, as it was heard of last; for an honest Retry-After. */
  heard (progress: Progress | undefined): void
  readonly progress: Progress | undefined
  /** What the last answer was worth. */
  readonly trust: Trust
  /** The head that was read last, and how far the marker, or the draft in its place, had come when it was seen last. */
  readonly positions: { head: number | undefined, marker: number }
  start (): void
  stop (): void
}

export function createRecordTrust (options: RecordTrustOptions): RecordTrust {
  const { record, now = () => performance.now() } = options
  const judge = createMarkerCheck(now)
  const heads = options.heads ?? createHeadPoll(record)
  heads.add(judge)
  const suspensions = new Map<string, string>()
  const standing = createStanding(options.onTrust)
  /** Whether the blocklist was found to lack something, and did not count since. */
  let isRebuilding = false
  let reached = 0
  let progress: Progress | undefined

  function refuse (reason: string): UntrustedError {
    standing.change('untrusted', reason)
    if (judge.isWaiting) heads.hasten()
    return new UntrustedError(reason, Math.min(60, Math.max(1, Math.ceil(progress?.remainingSeconds ?? 1))), progress, isRebuilding && suspensions.size === 0)
  }

  function distrust (reason: string): void {
    judge.forget()
    refuse(reason)
  }

  function accept (as: Trust): void {
    standing.change(as)
    isRebuilding = false
    progress = undefined
  }

  return {
    look: () => judge.look(),
    judge (look, marker) {
      reached = positionReached(marker, judge.recordId)
      const [suspended] = suspensions.values()
      const flaw = suspended === undefined ? judge.findFlaw(look, marker) : { reason: suspended, isLacking: false }
      if (flaw?.behindAt !== undefined) return flaw.behindAt
      if (flaw !== undefined) {
        isRebuilding ||= flaw.isLacking
        throw refuse(flaw.reason)
      }
      accept('trusted')
      return undefined
    },
    confirm (look, position, record) {
      const flaw = [...suspensions.values()][0] ?? findFlawOf(judge, look, position, record)
      isRebuilding ||= record.position - position > maxPositionsBehind
      if (flaw !== undefined) throw refuse(flaw)
      accept('behind')
    },
    refuse,
    connectionChanged () {
      isRebuilding = false
      distrust('The connection to the blocklist changed.')
    },
    suspend (reason, by = 'audit') {
      if (reason === undefined) {
        suspensions.delete(by)
        return
      }
      suspensions.set(by, reason)
      distrust(reason)
    },
    heard (heardProgress) { progress = heardProgress },
    get progress () { return progress },
    get trust () { return standing.trust },
    get positions () { return { head: judge.head, marker: reached } },
    start: heads.start,
    stop: heads.stop
  }
}

/** What the last answer was worth. */
function createStanding (onTrust: RecordTrustOptions['onTrust']): { readonly trust: Trust, change (next: Trust, reason?: string): void } {
  let trust: Trust = 'untrusted'
  return {
    get trust () { return trust },
    change (next, reason) {
      const hasChanged = trust !== next
      trust = next
      if (hasChanged) onTrust?.(next, reason)
    }
  }
}

/** Why an answer that is behind does not count, by the record as it was read after the look-up was sent. */
function findFlawOf (judge: MarkerCheck, look: Look, position: number, { recordId, marked, position: head }: Head): string | undefined {
  if (look.epoch !== judge.epoch) return 'The connection to the blocklist changed meanwhile.'
  if (recordId !== judge.recordId) return 'The marker of the blocklist is of another record.'
  if (position > marked) return 'The marker of the blocklist is beyond what the record has.'
  if (head - position > maxPositionsBehind) return 'The blocklist is too far behind the record.'
  return undefined
}
