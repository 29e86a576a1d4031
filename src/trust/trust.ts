import type { Progress } from '../record/projection.ts'

/** The value of an entry: `null` if there is none, and an error if the answer about this entry does not count. */
export type Value = string | null | Error

/**
 * Decides whether an answer of Redis counts (P2). There are two implementations: by the record in Postgres
 * (`by-record.ts`), and by a cut-off where there is no record (`by-cut-off.ts`).
 */
export interface Trust {
  /**
   * Reads entries of the blocklist, in one command with the key that says whether the answer counts.
   *
   * Rejects with an {@link UntrustedError} when the answer does not count. Rejects as the connection does when Redis is
   * down.
   *
   * @param names of entries, without the prefix, see `entryKey`
   */
  read (names: readonly string[]): Promise<Value[]>
  /**
   * Returns true if a token is revoked because of when it was issued, though no entry names it. Call it after its
   * entries were read.
   *
   * @param issuedAt `iat`, in seconds since the epoch
   */
  refuses (issuedAt: number | undefined): boolean
  /**
   * Resolves when a token that is issued now will be accepted. Rejects when Redis does not answer.
   *
   * @param name of an entry that holds an instant: the token must not be issued before that either
   */
  untilReady (name?: string): Promise<void>
}

/** Redis answered, but the answer cannot be trusted yet: revocations may be missing. */
export class UntrustedError extends Error {
  override readonly name = 'UntrustedError'
  /** The estimated time after which to ask again, in seconds. */
  readonly retryAfterSeconds: number
  /** The progress of a rebuild; undefined if there is none. */
  readonly progress: Progress | undefined
  /** True if the projector is writing what the blocklist lacks, so that waiting is the cure. */
  readonly isRebuilding: boolean
  constructor (reason: string, retryAfterSeconds: number, progress?: Progress, isRebuilding = progress !== undefined) {
    super(reason)
    this.retryAfterSeconds = retryAfterSeconds
    this.progress = progress
    this.isRebuilding = isRebuilding
  }
}

/**
 * The revocation is recorded in Postgres, and Redis does not have it yet.
 *
 * A replica that has just read the revocation must not answer 401 `token_revoked` before every other replica refuses
 * the token too. Until then it answers 503, as it does to the logout itself.
 */
export class RecordedError extends Error {
  override readonly name = 'RecordedError'
  /** True if every replica that can read the record refuses the token by now. */
  readonly isInForce: boolean
  /** For a revocation of everyone: the instant that is recorded, in seconds since the epoch. */
  readonly issuedBefore: number | undefined
  /** The earlier instant that Redis holds; 0 if it holds none. */
  readonly found: number
  constructor (ageSeconds: number, issuedBefore?: number, found = 0) {
    super('The revocation is recorded, and the blocklist does not have it yet.')
    this.isInForce = ageSeconds >= inForceAfterSeconds
    this.issuedBefore = issuedBefore
    this.found = found
  }
}

/**
 * The age of a revocation, in seconds, at which it is in force everywhere. Replicas read new rows within two seconds,
 * and find a marker that is behind within five. Twice that, for slow commits.
 */
const inForceAfterSeconds = 10
