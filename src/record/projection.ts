import type { Revocation } from '../entries/revocation.ts'

/**
 * The blocklist as its projector sees it: a projection of the record, which may be lost at any time and is made again.
 *
 * Each step checks that the marker, or the draft in its place, is exactly what the projector last saw or put there,
 * does its part, and leaves the next one: whatever has happened to the blocklist in between, whoever else is at it, and
 * however late a step arrives, what the marker says stays true (docs/revocation.md). All of them reject within a bound.
 */
export interface Projection {
  /** Rejects when it cannot be reached. */
  reach (): Promise<void>
  /** Answers the marker if it is of this record. Puts the draft in its place if it is not, and answers that. */
  begin (recordId: string, draft: string): Promise<string>
  /**
   * Adds entries, never shortening one, and moves the marker or the draft, all or nothing. Answers false, having done
   * nothing, when what stands there is not `from`.
   */
  advance (from: string, to: string, revocations: readonly Revocation[], progress?: Progress): Promise<boolean>
  /** Forgets the marker, so that everything is written again. That is always safe. */
  forgetMarker (): Promise<void>
}

/** A part of the blocklist, which is a complete projection of the rows that belong to it. */
export interface ProjectionShard {
  projection: Projection
  includes (revocation: Revocation): boolean
}

/** How far a rebuild has come, for those who wait. */
export interface Progress {
  /** Entries. */
  done: number
  total: number
  /** How long it will take from now on, as far as one can tell, in seconds. */
  remainingSeconds: number
}
