import { parseMarker, type LogPosition } from './marker.ts'
import type { Head } from './revocation-log.ts'

/** What was known when a look-up was sent. */
export interface Look {
  epoch: number
  position: number
}

/** Why an answer does not count. */
export interface Flaw {
  reason: string
  /** Whether the blocklist lacks something that a replay brings. */
  isLacking: boolean
}

/** What has been found out about a marker, and whether an answer that came with it counts. Knows no clock but the given one. */
export interface MarkerJudge {
  /** Changes with everything after which what was known before is worth nothing. */
  readonly epoch: number
  /** Whether the head of the record has to be read before anything counts. */
  readonly isWaiting: boolean
  /** The name of the record, and its head, as they were read last. */
  readonly logId: string | undefined
  readonly head: number | undefined
  look (): Look
  /** Undefined when the answer to a look-up counts. */
  findFlaw (look: Look, text: string | null | undefined): Flaw | undefined
  /** Takes note of a head. One that was read in another epoch says nothing about what was answered until now. */
  learn (head: Head, epoch: number): void
  /** The head could not be read: the tail cannot read it either, so that a marker that stands still says nothing. */
  missed (): void
  /** Forgets what was found out. */
  forget (): void
}

/**
 * A marker that has not reached a head that was read this long ago, though the head could be read all the while, belongs to a
 * Redis that nobody writes to any more. The head is read every 900 ms: that is found out by the fifth time after it has moved on.
 */
const staleAfterMs = 3_500

export function createMarkerJudge (now: () => number): MarkerJudge {
  let epoch = 0
  let logId: string | undefined
  /** The greatest position that was seen since it was compared last. */
  let seen = 0
  /** What the marker must have reached; undefined until the head was read. */
  let required: number | undefined
  /** The greatest position that the marker can have by what was read; undefined once a marker was found to be right. */
  let greatestPossible: number | undefined
  let heads: Array<{ position: number, readAt: number }> = []
  let lastHead: number | undefined

  function forget (): void {
    epoch++
    // What is compared next may rightly be behind it: of a record that was restored, and written anew to a Redis that was empty.
    seen = 0
    required = undefined
    greatestPossible = undefined
    heads = []
  }

  /** What was the head some time ago must be in the blocklist by now, wherever the connection leads. */
  function raiseRequired (): void {
    while (heads[0] !== undefined && heads[0].readAt <= now() - staleAfterMs) required = Math.max(required ?? 0, heads.shift()?.position ?? 0)
  }

  return {
    get epoch () { return epoch },
    get isWaiting () { return required === undefined || greatestPossible !== undefined },
    get logId () { return logId },
    get head () { return lastHead },
    look: () => ({ epoch, position: seen }),
    findFlaw (look, text) {
      if (look.epoch !== epoch) return { reason: 'The connection to the blocklist changed meanwhile.', isLacking: false }
      if (required === undefined) return { reason: 'The blocklist has not been compared with the record yet.', isLacking: false }
      const marker = parseMarker(text)
      const loss = findLoss(marker, logId, look.position)
      if (marker === undefined || loss !== undefined) {
        forget()
        return { reason: loss ?? '', isLacking: true }
      }
      seen = Math.max(seen, marker.position)
      // Moved since, or of a past that the record has lost: reading the head again tells.
      if (greatestPossible !== undefined && marker.position > greatestPossible) return { reason: 'The marker of the blocklist is beyond what was compared.', isLacking: false }
      if (marker.position < required) return { reason: 'The blocklist is behind the record.', isLacking: true }
      greatestPossible = undefined
      return undefined
    },
    learn (head, learntIn) {
      if (learntIn !== epoch) return
      if (head.logId !== logId) {
        if (logId !== undefined) forget()
        logId = head.logId
      }
      // Also while it waits. What it waits for may never come, since it was lost in a restore; but it is not put off because
      // others go on logging out, or it would wait for as long as they do.
      if (required === undefined || greatestPossible !== undefined) {
        required = Math.min(required ?? head.position, head.position)
        greatestPossible = head.marked
      }
      lastHead = head.position
      heads.push({ position: head.position, readAt: now() })
      raiseRequired()
    },
    missed () { heads = [] },
    forget
  }
}

/** What cannot be, unless the blocklist has lost something. */
function findLoss (marker: LogPosition | undefined, logId: string | undefined, position: number): string | undefined {
  if (marker === undefined) return 'The blocklist has lost its marker.'
  if (marker.logId !== logId) return 'The marker of the blocklist is of another record.'
  if (marker.position < position) return 'The marker of the blocklist has gone back.'
  return undefined
}
