/** What is counted under one key: a client's IP address, an account, a session. */
export interface Tally {
  /** Attempts that count until the window ends: wrong passwords, and reservations that lapsed. */
  wrong: number
  /** Attempts that hold a reservation: whether they were wrong is not decided yet. */
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
 * same time cannot exceed the limit together, and one that turns out right never changes what others have used up.
 *
 * Each method is one atomic step for its key, across all users of the counter. None of them changes anything when it
 * refuses. A window begins with the first attempt that counts in it, and later ones do not prolong it.
 */
export interface Counter {
  /**
   * Admits an attempt and reserves its place.
   *
   * @param id names the reservation, and no other. It lapses after the lease of the counter, and counts as a wrong
   * attempt from then on.
   */
  reserve (key: string, id: string): Promise<Admission>
  /**
   * Ends a reservation: it becomes a wrong attempt, or is dropped without a trace. Does nothing for a reservation that
   * is not held, so repeating it is safe.
   */
  settle (key: string, id: string, isWrong: boolean): Promise<Settlement>
  /** Admits an attempt that counts whatever becomes of it. */
  count (key: string): Promise<Admission>
}

/** How much a counter admits, and for how long. */
export interface CounterSize {
  attempts: number
  windowMs: number
  /** How long a reservation is held, in milliseconds. It must be longer than an attempt may take. */
  leaseMs: number
}
