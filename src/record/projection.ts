import type { Revocation } from '../entries/revocation.ts'

/**
 * The blocklist as the projector sees it: a projection of the record. It may be lost at any time, and is then rebuilt.
 *
 * Each step is atomic. It checks that the marker, or the draft marker, is exactly the text that the projector last saw
 * or wrote. Then it writes its entries and moves the marker. So the marker stays true when the blocklist falls back,
 * when two projectors write, and when a step arrives late (docs/revocation.md). Every method rejects within a bound. A
 * step that was rejected may still be executed later, which is safe.
 */
export interface Projection {
  /** Resolves if the blocklist can be reached, and rejects otherwise. */
  reach (): Promise<void>
  /** Returns the marker if it is of this record. Otherwise writes the draft marker in its place, and returns that. */
  begin (recordId: string, draft: string): Promise<string>
  /**
   * Writes entries, never shortening one, and moves the marker or the draft marker: all or nothing. Resolves to false,
   * and writes nothing, if the marker key does not hold `from`.
   */
  advance (from: string, to: string, revocations: readonly Revocation[], progress?: Progress): Promise<boolean>
  /** Deletes the marker, so that everything is written again. Idempotent, and always safe. */
  forgetMarker (): Promise<void>
}

/** One shard of the blocklist. It is a complete projection of the rows that belong to it. */
export interface ProjectionShard {
  projection: Projection
  /** Returns true if a revocation belongs to this shard. */
  includes (revocation: Revocation): boolean
}

/** The progress of a rebuild. */
export interface Progress {
  /** Live rows that were written so far. */
  done: number
  /** All rows, including expired ones that are not written. So a rebuild may end before `done` reaches it. */
  total: number
  /** The estimated time until the end, in seconds. */
  remainingSeconds: number
}
