/** The parts of the protocol. Each can be taken out, to see the attack that it prevents. */
export interface Protocol {
  /** True if each script checks that the marker is exactly what this projector last saw or put there. */
  readonly checks: boolean
  /**
   * True if a projector waits, before it reads the head, for every transaction that has a position and is not
   * committed.
   */
  readonly barrier: boolean
  /** True if a projector that finds no marker puts a draft there before it reads the head. */
  readonly drafts: boolean
  /** True if that draft holds how far the rebuild has come. */
  readonly tellsProgress: boolean
  /** True if the marker names the record that it belongs to. */
  readonly recordId: boolean
  /**
   * True if a projector records in Postgres what it will mark before it marks it. A marker beyond that is of a past
   * that Postgres has lost.
   */
  readonly recordsMarks: boolean
  /**
   * True if a replica that was reconnected to Redis compares the marker with Postgres before it trusts it, as it does
   * when it starts.
   */
  readonly comparesAfterReconnect: boolean
  /**
   * True if a note in Redis holds how many keys its server had evicted, and the marker is deleted when that number has
   * changed.
   */
  readonly notesEvictions: boolean
  /** True if writers move the marker to their own position. */
  readonly writersMove: boolean
  /**
   * Undefined: each logout ends one token, and has an entry of its own. Otherwise each ends everyone's tokens before an
   * instant, and all share one entry, which holds the instant: the greatest that was written, or the one that was
   * written last.
   */
  readonly everyone?: 'greatest' | 'last'
  /**
   * The rules for asking the record about an answer whose marker is behind. Undefined if such an answer does not count.
   */
  readonly asking?: Asking
}

/** The rules for asking the record instead of refusing an answer whose marker is behind. */
export interface Asking {
  /** True if the record is read after the look-up was sent. */
  readonly asksAfter: boolean
  /** True if rows are asked for from the marker on, and not from the last row that was seen before. */
  readonly fromMarker: boolean
  /** True if only a marker of our record counts, and not a draft that stands there during a rebuild. */
  readonly onlyMarkers: boolean
  /** True if a marker beyond what was ever to be marked is refused. */
  readonly comparesMarked: boolean
}

/** The rules that the code follows. */
export const asking: Asking = { asksAfter: true, fromMarker: true, onlyMarkers: true, comparesMarked: true }

/** The protocol that the code follows. */
export const chained: Protocol = {
  checks: true,
  barrier: true,
  drafts: true,
  tellsProgress: true,
  recordId: true,
  recordsMarks: true,
  comparesAfterReconnect: true,
  notesEvictions: true,
  writersMove: false
}
