import type { Progress } from '../record/projection.ts'

/** The value of an entry; `null` where there is none; an error where the answer about this entry does not count. */
export type Value = string | null | Error

/**
 * Decides whether what Redis answers counts (P2). There are two implementations: by the record in Postgres
 * (`by-record.ts`), and, where there is no record, by a cut-off (`by-cut-off.ts`).
 */
export interface Trust {
  /**
   * Reads entries of the blocklist, in the same command as what says whether the answer counts.
   *
   * Rejects with an {@link UntrustedError} when the answer does not count, and as the connection does when Redis is
   * down.
   *
   * @param names of entries, without the prefix, see `entryKey`
   */
  read (names: readonly string[]): Promise<Value[]>
  /**
   * Returns true if a token is revoked though no entry names it, because of when it was issued. To be called when its
   * entries have been read.
   *
   * @param issuedAt `iat`, in seconds since the epoch
   */
  refuses (issuedAt: number | undefined): boolean
  /** Resolves when a token that is issued now will be accepted. */
  untilReady (): Promise<void>
}

/** Redis answered, but the answer cannot be trusted yet: revocations may be missing. */
export class UntrustedError extends Error {
  override readonly name = 'UntrustedError'
  /** When to ask again, as far as is known, in seconds. */
  readonly retryAfterSeconds: number
  /** How far a rebuild has come, while there is one. */
  readonly progress: Progress | undefined
  /** Whether the blocklist lacks something that the projector is writing, so that waiting is the cure. */
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
  /** Whether every replica that can read the record refuses the token by now. */
  readonly isInForce: boolean
  constructor (ageSeconds: number) {
    super('The revocation is recorded, and the blocklist does not have it yet.')
    this.isInForce = ageSeconds >= inForceAfterSeconds
  }
}

/**
 * Replicas read new rows within two seconds, and find a marker that is behind within five. Twice that, for slow
 * commits.
 */
const inForceAfterSeconds = 10
