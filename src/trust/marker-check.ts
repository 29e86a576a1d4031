import { parseMarker, unknownFormat, type RecordPosition } from '../record/marker.ts'
import type { Head } from '../record/record.ts'

/** Noted when a look-up is sent: the epoch, and the greatest position of a marker. */
export interface Look {
  epoch: number
  position: number
}

/** Noted when a head is asked for: the epoch, and the time in milliseconds. */
export interface Ask {
  epoch: number
  at: number
}

/** The reason why an answer does not count. */
export interface Flaw {
  reason: string
  /** True if the blocklist lacks revocations that the projector will write. */
  isLacking: boolean
  /**
   * The position of the marker, if its only flaw is that it is behind the head, or beyond the `marked` that was read
   * last. The answer counts if the record, asked after the look-up was sent, has no row for it after that position.
   */
  behindAt?: number
}

/** Decides whether an answer counts by the marker that came with it. */
export interface MarkerCheck {
  /**
   * The number of the epoch. A new one begins when all that was known of the marker becomes void, such as on a new
   * connection.
   */
  readonly epoch: number
  /** True until a marker was found to be right in this epoch. The head has to be read first. */
  readonly isWaiting: boolean
  /** The id of the record, and its head, as they were read last. */
  readonly recordId: string | undefined
  readonly head: number | undefined
  /** The greatest position of a marker in this epoch; 0 if none was seen. */
  readonly position: number
  /** Call it when a look-up is sent. */
  look (): Look
  /** Returns the reason why the answer to a look-up does not count; undefined if it counts. */
  findFlaw (look: Look, text: string | null | undefined): Flaw | undefined
  /** Call it when the head is asked for. */
  ask (): Ask
  /** Notes a head. A head that was asked for in another epoch only shows that the record can be read. */
  learn (head: Head, ask: Ask): void
  /** Begins a new epoch. */
  forget (): void
}

/**
 * The age of a head, in milliseconds, by which the marker must have reached it. If it has not, no projector writes to
 * that Redis any more. Time in which the record could not be read does not count. The head is read every 900 ms, so
 * that this is found within five seconds.
 */
const staleAfterMs = 3_500
/**
 * The time for which the record counts as readable after it has answered. Then the pause between two answers above
 * which it was unreadable. Both in milliseconds.
 */
const readableForMs = 1_000
const outageMs = 3_000

/** The heads that were read, each until the marker must have reached it. */
interface HeadHistory {
  /** Call it when a read of the record is answered. */
  answered (): void
  add (position: number, askedAt: number): void
  /** Removes the heads that the marker must have reached, and returns the greatest; undefined if there are none. */
  takeOld (): number | undefined
  forget (): void
}

/**
 * Creates a history that only counts the time in which the record could be read. The projector cannot work without it.
 */
function createHeadHistory (now: () => number): HeadHistory {
  let heads: Array<{ position: number, askedAt: number }> = []
  let answeredAt = -Infinity
  /** The total time in which the record could not be read. */
  let unreadableMs = 0
  return {
    // One read that fails or is slow is no outage. Several are.
    answered () {
      const silentMs = now() - answeredAt
      if (Number.isFinite(silentMs) && silentMs > outageMs) unreadableMs += silentMs
      answeredAt = now()
    },
    add (position, askedAt) { heads.push({ position, askedAt: askedAt - unreadableMs }) },
    takeOld () {
      const readableUntil = Math.min(now(), answeredAt + readableForMs) - unreadableMs
      let old: number | undefined
      while (heads[0] !== undefined && heads[0].askedAt <= readableUntil - staleAfterMs) {
        old = Math.max(old ?? 0, heads.shift()?.position ?? 0)
      }
      return old
    },
    forget () { heads = [] }
  }
}

/**
 * Creates the check of one marker.
 *
 * @param now a monotonic clock, in milliseconds
 */
export function createMarkerCheck (now: () => number): MarkerCheck {
  const heads = createHeadHistory(now)
  let epoch = 0
  let recordId: string | undefined
  /** The greatest position of a marker in this epoch. */
  let seen = 0
  /** The position that the marker must have reached; undefined until the head was read. */
  let required: number | undefined
  /** The greatest position that a marker of this record can have; undefined once a marker was found to be right. */
  let greatestPossible: number | undefined
  let lastHead: number | undefined

  function forget (): void {
    epoch++
    // After a restore of Postgres, a lower marker may be right.
    seen = 0
    required = undefined
    greatestPossible = undefined
    heads.forget()
  }

  /** Raises the required position to the greatest head that the marker must have reached, on any server. */
  function raiseRequired (): void {
    const old = heads.takeOld()
    if (old !== undefined) required = Math.max(required ?? 0, old)
  }

  return {
    get epoch () { return epoch },
    get isWaiting () { return required === undefined || greatestPossible !== undefined },
    get recordId () { return recordId },
    get head () { return lastHead },
    get position () { return seen },
    look: () => ({ epoch, position: seen }),
    findFlaw (look, text) {
      if (look.epoch !== epoch) return flawed('The connection to the blocklist changed meanwhile.')
      raiseRequired()
      if (required === undefined) return flawed('The blocklist has not been compared with the record yet.')
      const marker = parseMarker(text)
      const loss = findLoss(text, marker, recordId, look.position)
      if (marker === undefined || loss !== undefined) forget()
      if (marker === undefined || loss !== undefined) return flawed(loss ?? '', true)
      const { position } = marker
      seen = Math.max(seen, position)
      // The marker has moved since, or is of a past that the record has lost. The next head shows which.
      const isBeyond = greatestPossible !== undefined && position > greatestPossible
      if (isBeyond) return flawed('The marker of the blocklist is beyond what was compared.', false, position)
      if (position < required) return flawed('The blocklist is behind the record.', true, position)
      greatestPossible = undefined
      return undefined
    },
    ask: () => ({ epoch, at: now() }),
    learn (head, ask) {
      heads.answered()
      if (ask.epoch !== epoch) return
      if (recordId !== undefined && head.recordId !== recordId) forget()
      recordId = head.recordId
      // Lowered while the marker waits: the required head may have been lost in a restore. Later logouts do not raise
      // it.
      if (required === undefined || greatestPossible !== undefined) {
        required = Math.min(required ?? head.position, head.position)
        greatestPossible = head.marked
      }
      lastHead = head.position
      heads.add(head.position, ask.at)
      raiseRequired()
    },
    forget
  }
}

function flawed (reason: string, isLacking = false, behindAt?: number): Flaw {
  return { reason, isLacking, ...behindAt !== undefined && { behindAt } }
}

/** Returns the sign that the blocklist has lost something; undefined if there is none. */
function findLoss (
  text: string | null | undefined,
  marker: RecordPosition | undefined,
  recordId: string | undefined,
  position: number
): string | undefined {
  const format = unknownFormat(text)
  if (format !== undefined) return `The blocklist is in format ${format}, which this version of signout does not know.`
  if (marker === undefined) return 'The blocklist has lost its marker.'
  if (marker.recordId !== recordId) return 'The marker of the blocklist is of another record.'
  if (marker.position < position) return 'The marker of the blocklist has gone back.'
  return undefined
}
