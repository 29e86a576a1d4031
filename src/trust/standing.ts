import type { TrustState } from '../events/blocklist-events.ts'
import { positionReached } from '../record/marker.ts'
import type { Progress } from '../record/projection.ts'
import { maxPositionsBehind, type Head } from '../record/queries.ts'
import type { HeadPoll } from './head-poll.ts'
import { createMarkerCheck, type Look, type MarkerCheck } from './marker-check.ts'
import { UntrustedError } from './trust.ts'

export interface StandingOptions {
  /** Reads the head of the record, for the standings of all shards at once. */
  heads: HeadPoll
  /** Called when the trust changes, with the reason when answers do not count any more. */
  onChanged?: (trust: TrustState, reason?: string) => void
  /** A monotonic clock, in milliseconds. */
  now?: () => number
}

/**
 * Decides whether the answers of one shard count, by the marker that comes with each (P2). An answer counts only if:
 *
 * - It came on the connection on which the look-up was sent.
 * - Its marker is of the record as it is now.
 * - The marker has not gone back.
 *
 * After a new connection, and after one of these has failed, the marker must first reach the head of the record, read
 * after that. Every revocation whose request was answered is at or before that head.
 */
export interface Standing {
  /** Call it when a look-up is sent. */
  look (): Look
  /**
   * Accepts an answer by the marker that came with it. Returns undefined if the answer counts. Returns the position of
   * a marker that is behind the record, or that has to be compared again. The answer then counts only if
   * {@link Standing.confirm} accepts it. Throws an {@link UntrustedError} for every other answer.
   */
  accept (look: Look, marker: string | null | undefined): number | undefined
  /**
   * Accepts an answer whose marker is behind, by the record as it was read after the look-up was sent. Throws an
   * {@link UntrustedError} when the connection or the record has changed since, and when the record has lost the
   * position of the marker. Also when the marker is too far behind for all revocations after it to have been read.
   */
  confirm (look: Look, position: number, record: Head): void
  /** Notes that an answer does not count, and returns the error to throw. */
  refuse (reason: string): UntrustedError
  /** Call it when the connection opened or closed. */
  connectionChanged (): void
  /**
   * Refuses every answer, for a reason that no marker shows, until the same caller calls it without a reason. Then the
   * marker has to be compared again, and look-ups that were sent before do not count.
   */
  suspend (reason: string | undefined, by?: 'audit' | 'mender'): void
  /** Notes the progress of a rebuild, for `Retry-After`. */
  noteProgress (progress: Progress | undefined): void
  readonly progress: Progress | undefined
  /** The trust in the last answer. */
  readonly trust: TrustState
  /** The head that was read last, and the position of the marker or draft marker that was seen last. */
  readonly positions: { head: number | undefined, marker: number }
}

/** Creates the standing of one shard. It trusts nothing at first. */
export function createStanding ({ heads, onChanged, now = () => performance.now() }: StandingOptions): Standing {
  const marker = createMarkerCheck(now)
  heads.add(marker)
  const suspensions = new Map<string, string>()
  const firstSuspension = () => suspensions.values().next().value
  let trust: TrustState = 'untrusted'
  /** True if the blocklist was found to lack something, and no answer has counted since. */
  let isRebuilding = false
  let reached = 0
  let progress: Progress | undefined

  function change (next: TrustState, reason?: string): void {
    if (trust === next) return
    trust = next
    onChanged?.(next, reason)
  }

  function refuse (reason: string): UntrustedError {
    change('untrusted', reason)
    if (marker.isWaiting) heads.hasten()
    return new UntrustedError(reason, retryAfter(progress), progress, isRebuilding && suspensions.size === 0)
  }

  function count (as: TrustState): void {
    change(as)
    isRebuilding = false
    progress = undefined
  }

  return {
    look: () => marker.look(),
    accept (look, text) {
      reached = positionReached(text, marker.recordId)
      const suspended = firstSuspension()
      const flaw = suspended === undefined ? marker.findFlaw(look, text) : { reason: suspended, isLacking: false }
      if (flaw?.behindAt !== undefined) return flaw.behindAt
      if (flaw !== undefined) {
        isRebuilding ||= flaw.isLacking
        throw refuse(flaw.reason)
      }
      count('trusted')
      return undefined
    },
    confirm (look, position, record) {
      const flaw = firstSuspension() ?? findFlawOf(marker, look, position, record)
      isRebuilding ||= record.position - position > maxPositionsBehind
      if (flaw !== undefined) throw refuse(flaw)
      count('behind')
    },
    refuse,
    connectionChanged () {
      isRebuilding = false
      marker.forget()
      refuse('The connection to the blocklist changed.')
    },
    suspend (reason, by = 'audit') {
      const wasSuspended = suspensions.delete(by)
      if (reason === undefined && !wasSuspended) return
      if (reason !== undefined) suspensions.set(by, reason)
      // Also at the end: the answer to a look-up that was sent before may still come, from before the loss was mended.
      marker.forget()
      refuse(reason ?? 'The blocklist has not been compared with the record since it was suspended.')
    },
    noteProgress (noted) { progress = noted },
    get progress () { return progress },
    get trust () { return trust },
    get positions () { return { head: marker.head, marker: reached } }
  }
}

const maxRetryAfterSeconds = 60

function retryAfter (progress: Progress | undefined): number {
  return Math.min(maxRetryAfterSeconds, Math.max(1, Math.ceil(progress?.remainingSeconds ?? 1)))
}

/**
 * Returns the reason why an answer that is behind does not count, by the record as it was read after the look-up was
 * sent.
 */
function findFlawOf (
  marker: MarkerCheck,
  look: Look,
  position: number,
  { recordId, marked, position: head }: Head
): string | undefined {
  if (look.epoch !== marker.epoch) return 'The connection to the blocklist changed meanwhile.'
  if (recordId !== marker.recordId) return 'The marker of the blocklist is of another record.'
  if (position > marked) return 'The marker of the blocklist is beyond what the record has.'
  if (head - position > maxPositionsBehind) return 'The blocklist is too far behind the record.'
  return undefined
}
