import { requireNumber } from '../input/check-options.ts'
import type { RevocableClaims, Revocation } from '../entries/revocation.ts'

/**
 * The set of tokens and sessions that have been revoked and have not yet expired.
 *
 * Every implementation passes the same contract (`test/revocation/blocklist.contract.ts`).
 *
 * @example
 * const blocklist: Blocklist = {
 *   leewaySeconds: 5,
 *   revoke: revocations => table.insert(revocations),
 *   isRevoked: ({ jti, sid }) => table.hasAny([jti, sid]),
 *   ping: () => table.ping(),
 *   close: () => table.close()
 * }
 */
export interface Blocklist {
  /**
   * The number of seconds by which clocks may differ, from 0 to 300. The leeway is set here and nowhere else. The
   * plugin accepts a token until its `exp` plus the leeway. An entry must be kept until `expiresAt` plus three times
   * the leeway. The clock of the replica may be behind by one leeway, and the clock that expires the entry ahead by
   * another.
   */
  readonly leewaySeconds: number

  /**
   * The longest time for a look-up or a revocation, in milliseconds, from 1 to 60000. Defaults to 250. A request that
   * waits longer gets 503.
   */
  readonly deadlineMs?: number | undefined

  /**
   * The longest lifetime of a token, from its `iat` to its `exp`, in seconds. The plugin refuses tokens that live
   * longer, and tokens without an `iat`. Without it, `revokeSubject` cannot know how long to keep its entry.
   */
  readonly maxTokenLifetimeSeconds?: number | undefined

  /**
   * True for the blocklist of the service signout in another app. It only reads: the app revokes nothing there. Each
   * look-up needs the `kid` of the token.
   */
  readonly isOfService?: true | undefined

  /**
   * Makes the revocations visible to every look-up that starts after the promise resolves, on every replica that shares
   * this blocklist.
   *
   * Idempotent: repeating it is safe, and an existing entry is never shortened. A revocation whose tokens can no longer
   * be accepted adds nothing. Not atomic: when it rejects, some entries may have been written. The caller must then
   * claim no success, and should try again. Rejects with a TypeError, and writes nothing, if the list has a mistake.
   */
  revoke (revocations: readonly Revocation[]): Promise<void>

  /**
   * Returns true if the token or its session has been revoked, or all tokens of its key, or everyone's. Returns a
   * promise only if it has to wait.
   *
   * Rejects, or throws, when the blocklist cannot tell. The caller must not take that for "not revoked".
   *
   * @param kid the name of the key that signed the token, if it has one
   */
  isRevoked (claims: RevocableClaims, kid?: string): boolean | Promise<boolean>

  /**
   * Revokes every token of a user that was issued until now, by its `sub` and `iat`. Promises what `revoke` does.
   * Tokens that are issued once `ready(subject)` has resolved are accepted.
   */
  revokeSubject? (subject: string): Promise<void>

  /** Revokes every token of every user that was issued until now, by its `iat`, as `revokeSubject` does for one. */
  revokeEveryone? (): Promise<void>

  /**
   * Resolves when a token that is issued now will be accepted: when the clock of this process has passed the last
   * `revokeEveryone`, and with a subject the last `revokeSubject` of it. Rejects when the blocklist cannot tell.
   */
  ready? (subject?: string): Promise<void>

  /** Resolves if look-ups count now, and rejects otherwise. */
  ping (): Promise<void>

  /** Releases what the blocklist holds. Look-ups and revocations that start later are rejected. */
  close (): Promise<void>
}

/** Options that every blocklist of this package takes. */
export interface BlocklistSettings {
  /** The number of seconds by which clocks may differ, from 0 to 300. Defaults to 5. */
  leewaySeconds?: number | undefined
  /** The longest time for a look-up or a revocation, in milliseconds, from 1 to 60000. Defaults to 250. */
  deadlineMs?: number | undefined
  /**
   * The longest lifetime of a token, from its `iat` to its `exp`, in seconds: a whole number up to ten years. With it,
   * `app.revokeSubject` and `app.revokeEveryone` work. Longer tokens, and tokens without an `iat`, are refused then.
   */
  maxTokenLifetimeSeconds?: number | undefined
}

const defaultLeewaySeconds = 5
const defaultDeadlineMs = 250
const maxLeewaySeconds = 300
/** A timer of Node that is set to more than 24 days fires at once. */
const maxDeadlineMs = 60_000
const tenYearsSeconds = 315_576_000

/** Returns the settings with their defaults. Throws a TypeError for one that is out of bounds. */
export function readSettings (
  { leewaySeconds = defaultLeewaySeconds, deadlineMs, maxTokenLifetimeSeconds }: BlocklistSettings
): { leewaySeconds: number, deadlineMs: number, maxTokenLifetimeSeconds: number | undefined } {
  return {
    maxTokenLifetimeSeconds: lifetimeOf({ maxTokenLifetimeSeconds }, ''),
    leewaySeconds: requireNumber('leewaySeconds', leewaySeconds, 'seconds', 0, maxLeewaySeconds),
    deadlineMs: deadlineOf({ deadlineMs }, '')
  }
}

/**
 * Returns the leeway that a blocklist declares. Throws a TypeError if it declares none: there is no default that suits
 * every blocklist.
 */
export function leewayOf ({ leewaySeconds }: Pick<Blocklist, 'leewaySeconds'>): number {
  return requireNumber('blocklist.leewaySeconds', leewaySeconds, 'seconds', 0, maxLeewaySeconds)
}

/** Returns the deadline that a blocklist declares, or the default. Throws a TypeError for one that is out of bounds. */
export function deadlineOf (
  { deadlineMs = defaultDeadlineMs }: Pick<Blocklist, 'deadlineMs'>,
  prefix = 'blocklist.'
): number {
  return requireNumber(`${prefix}deadlineMs`, deadlineMs, 'milliseconds', 1, maxDeadlineMs)
}

/** Returns the longest lifetime of a token that a blocklist declares. Throws a TypeError for a wrong one. */
export function lifetimeOf (
  { maxTokenLifetimeSeconds }: Pick<Blocklist, 'maxTokenLifetimeSeconds'>,
  prefix = 'blocklist.'
): number | undefined {
  if (maxTokenLifetimeSeconds === undefined) return undefined
  const name = `${prefix}maxTokenLifetimeSeconds`
  requireNumber(name, maxTokenLifetimeSeconds, 'seconds', 1, tenYearsSeconds)
  if (Number.isSafeInteger(maxTokenLifetimeSeconds)) return maxTokenLifetimeSeconds
  throw new TypeError(`${name} is ${maxTokenLifetimeSeconds}; it must be a whole number of seconds.`)
}

/** Thrown by a blocklist that was closed. */
export class BlocklistClosedError extends Error {
  override readonly name = 'BlocklistClosedError'
  constructor () {
    super('The blocklist is closed.')
  }
}
