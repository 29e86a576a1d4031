/** The counts under one key. A key is an IP address of requesters, an account or a session. */
export interface Tally {
  /** Attempts that count until the window ends: wrong passwords, and reservations that lapsed. */
  wrong: number
  /** Attempts that hold a reservation, because their result is not known yet. */
  underWay: number
  /** Milliseconds until the window ends. Zero when nothing is counted. */
  windowMs: number
}

export interface Admission extends Tally {
  isAdmitted: boolean
}

export interface Settlement extends Tally {
  /** False if the reservation had lapsed, and therefore counts as a wrong attempt already. */
  wasHeld: boolean
}

/**
 * Counts attempts under one limit.
 *
 * An attempt is admitted while wrong attempts and attempts under way are together below the limit. So attempts at the
 * same time cannot exceed the limit together. An attempt that turns out right never changes what others have used up.
 *
 * Each method is one atomic step for its key, across all users of the counter. A method that refuses changes nothing. A
 * window begins with the first attempt that counts in it, and later ones do not prolong it.
 */
export interface Counter {
  /**
   * Admits an attempt and reserves its place.
   *
   * @param id the id of the reservation, which no other one has. The reservation lapses after the lease of the counter,
   * and counts as a wrong attempt from then on.
   */
  reserve (key: string, id: string): Promise<Admission>
  /**
   * Ends a reservation, which becomes a wrong attempt or is dropped. Does nothing for a reservation that is not held,
   * so repeating it is safe.
   */
  settle (key: string, id: string, isWrong: boolean): Promise<Settlement>
  /** Admits an attempt that counts regardless of its outcome. */
  count (key: string): Promise<Admission>
}

/** The limit of a counter, and its durations. */
export interface CounterSize {
  attempts: number
  windowMs: number
  /** The time that a reservation is held, in milliseconds. It must be longer than an attempt may take. */
  leaseMs: number
}
