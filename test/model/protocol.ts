/** The parts of the protocol, each of which can be taken out to see what it is there for. */
export interface Protocol {
  /** Whether each script checks that the marker is exactly what this projector last saw or put there. */
  readonly checks: boolean
  /**
   * Whether a projector waits, before it reads the head, for every transaction that has a position and is not
   * committed.
   */
  readonly barrier: boolean
  /** Whether a projector that finds no marker puts a draft there before it reads the head. */
  readonly drafts: boolean
  /** Whether that draft tells how far the rebuild has come. */
  readonly tellsProgress: boolean
  /** Whether the marker names the record that it belongs to. */
  readonly recordId: boolean
  /**
   * Whether a projector records in Postgres what it will mark before it marks it: a marker beyond that is of a past
   * that Postgres has lost.
   */
  readonly recordsMarks: boolean
  /**
   * Whether a replica that was reconnected to Redis compares the marker with Postgres before it trusts it, as it does
   * when it starts.
   */
  readonly comparesAfterReconnect: boolean
  /**
   * Whether it is noted in Redis how much its server had evicted, and the marker is forgotten where that is not so any
   * more.
   */
  readonly notesEvictions: boolean
  /** Whether writers move the marker to their own position. */
  readonly writersMove: boolean
  /** How the record is asked about an answer whose marker is behind; undefined when such an answer does not count. */
  readonly asking?: Asking
}

/** How the record is asked instead of refusing an answer whose marker is behind. */
export interface Asking {
  /** Whether the record is read after the look-up was sent. */
  readonly asksAfter: boolean
  /** Whether rows are asked for from the marker on, and not from the last row that was seen before. */
  readonly fromMarker: boolean
  /** Whether only a marker of our record will do, and nothing that stands there during a rebuild. */
  readonly onlyMarkers: boolean
  /** Whether a marker beyond what was ever to be marked is refused. */
  readonly comparesMarked: boolean
}

/** As the code does it. */
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
