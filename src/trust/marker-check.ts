import { parseMarker, type RecordPosition } from '../record/marker.ts'
import type { Head } from '../record/record.ts'

/** What was known when a look-up was sent. */
export interface Look {
  epoch: number
  position: number
}

/** When a head was asked for, and what was known then. */
export interface Ask {
  epoch: number
  at: number
}

/** Why an answer does not count. */
export interface Flaw {
  reason: string
  /** Whether the blocklist lacks something that catching up brings. */
  isLacking: boolean
  /**
   * The position of a marker whose only flaw is that the record has gone on without it, or that the record as it was
   * read last does not have the marker yet. The answer counts if the record, asked after the look-up was sent, has
   * nothing of it after that position.
   */
  behindAt?: number
}

/**
 * What has been found out about a marker, and whether an answer that came with it counts. Knows no clock but the given
 * one.
 */
export interface MarkerCheck {
  /** Changes with everything after which what was known before is worth nothing. */
  readonly epoch: number
  /** Whether the head of the record has to be read before anything counts. */
  readonly isWaiting: boolean
  /** The name of the record, and its head, as they were read last. */
  readonly recordId: string | undefined
  readonly head: number | undefined
  /** The greatest position that a marker has had since the last comparison; 0 when none was seen. */
  readonly position: number
  look (): Look
  /** Undefined when the answer to a look-up counts. */
  findFlaw (look: Look, text: string | null | undefined): Flaw | undefined
  /** To be called when the head is asked for. */
  ask (): Ask
  /** Takes note of a head. One that was asked for in another epoch says nothing about what was answered until now. */
  learn (head: Head, ask: Ask): void
  /** Forgets what was found out. */
  forget (): void
}

/**
 * A marker that has not reached a head that was asked for this long ago, though the head could be read all the while,
 * belongs to a Redis that nobody writes to any more. The head is asked for every 900 ms, so that this is found out
 * within five seconds.
 */
const staleAfterMs = 3_500
/**
 * How long the record is taken to be there after it has answered, and how far apart its answers may be while it is
 * there.
 */
const readableForMs = 1_000
const outageMs = 3_000

/** The heads that were read, until they are so old that the marker must have reached them. */
interface HeadHistory {
  /** To be called when a read of the record is answered. */
  answered (): void
  add (position: number, askedAt: number): void
  /** The greatest of those that are so old; each is answered once. */
  takeOld (): number | undefined
  forget (): void
}

/** Only the time counts in which the record could be read: the projector cannot work without it. */
function createHeadHistory (now: () => number): HeadHistory {
  let heads: Array<{ position: number, askedAt: number }> = []
  let answeredAt = -Infinity
  /** For how long the record could not be read, in all. */
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

export function createMarkerCheck (now: () => number): MarkerCheck {
  const heads = createHeadHistory(now)
  let epoch = 0
  let recordId: string | undefined
  /** The greatest position that was seen since it was compared last. */
  let seen = 0
  /** What the marker must have reached; undefined until the head was read. */
  let required: number | undefined
  /** The greatest position that the marker can have by what was read; undefined once a marker was found to be right. */
  let greatestPossible: number | undefined
  let lastHead: number | undefined

  function forget (): void {
    epoch++
    // The next marker may rightly be behind, of a record that was restored.
    seen = 0
    required = undefined
    greatestPossible = undefined
    heads.forget()
  }

  /** What was the head some time ago must be in the blocklist by now, wherever the connection leads. */
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
      const loss = findLoss(marker, recordId, look.position)
      if (marker === undefined || loss !== undefined) forget()
      if (marker === undefined || loss !== undefined) return flawed(loss ?? '', true)
      const { position } = marker
      seen = Math.max(seen, position)
      // Moved since, or of a past that the record has lost: reading the head again tells.
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
      // Also while it waits: the awaited head may have been lost in a restore. Later logouts do not raise it.
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

/** What cannot be, unless the blocklist has lost something. */
function findLoss (
  marker: RecordPosition | undefined,
  recordId: string | undefined,
  position: number
): string | undefined {
  if (marker === undefined) return 'The blocklist has lost its marker.'
  if (marker.recordId !== recordId) return 'The marker of the blocklist is of another record.'
  if (marker.position < position) return 'The marker of the blocklist has gone back.'
  return undefined
}
