/** The parts of the protocol, each of which can be taken out to see what it is there for. */
export interface Protocol {
  /**
   * How a tail notices that another tail, its own past or a fault of Redis has come between. `chained`: each of its scripts writes some rows and
   * moves the marker past them, if the marker is exactly what this tail last saw or put there. `fenced`: it claims Redis with a token of its
   * own, each script checks that token, and the last one sets the marker.
   */
  readonly tail: 'chained' | 'fenced'
  /** Whether the scripts check; `unless missing` takes a missing fencing token for its own. */
  readonly checks: 'always' | 'unless missing' | 'never'
  /** Whether a tail waits, before it reads the head, for every transaction that has a position and is not committed. */
  readonly barrier: boolean
  /** Whether a tail that finds no marker puts a claim there before it reads the head. Chained only: fenced tails always do. */
  readonly claims: boolean
  /** Whether that claim tells how far the replay has come. Chained only. */
  readonly tellsProgress: boolean
  /** Whether a tail starts over when its connection to Redis is lost, and nothing that it had sent before is executed after that. */
  readonly startsOver: boolean
  /** Whether the marker names the log that it belongs to. */
  readonly logId: boolean
  /** Whether a tail records in Postgres what it will mark before it marks it: a marker beyond that is of a past that Postgres has lost. */
  readonly recordsMarks: boolean
  /** Whether a replica that was reconnected to Redis compares the marker with Postgres before it trusts it, as it does when it starts. */
  readonly comparesAfterReconnect: boolean
  /** Whether it is noted in Redis how much its server had evicted, and the marker is forgotten where that is not so any more. Chained only. */
  readonly notesEvictions: boolean
  /** Whether writers move the marker to their own position. */
  readonly writersMove: boolean
  /** How the record is asked about an answer whose marker is behind; undefined when such an answer does not count. */
  readonly asking?: Asking
  /** Whether the marker is moved before the entries are written. Fenced only: there is no before within a script. */
  readonly marksFirst: boolean
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
  tail: 'chained',
  checks: 'always',
  barrier: true,
  claims: true,
  tellsProgress: true,
  startsOver: false,
  logId: true,
  recordsMarks: true,
  comparesAfterReconnect: true,
  notesEvictions: true,
  writersMove: false,
  marksFirst: false
}

/** The one that was planned before: it holds as well, as long as a tail starts over with its connection. */
export const fenced: Protocol = { ...chained, tail: 'fenced', startsOver: true, notesEvictions: false }
