import { shown } from '../input/check-options.ts'

/** The scope of a revocation: one access token (its `jti`), or every token of a session (its `sid`). */
export type RevocationScope = 'token' | 'session'

/** The revocation of one token or one session. */
export interface Revocation {
  scope: RevocationScope
  /** The `jti` (RFC 7519, section 4.1.7) or the `sid` that is refused from now on. */
  id: string
  /** When the last token that this ends expires: its `exp`, in seconds since the epoch (RFC 7519 `NumericDate`). */
  expiresAt: number
  /** The user whose token it is (`sub`), if known. In a cluster it selects the shard. */
  subject?: string | undefined
}

/** The claims of a verified token that the blocklist is asked about. */
export interface RevocableClaims {
  jti: string
  sid?: string
  /** The user whose token it is. In a cluster it selects the shard. */
  sub?: string
  /** When the token was issued, in seconds since the epoch. */
  iat?: number
}

/** The longest `jti` or `sid` of a token that is accepted, in characters. */
export const maxIdLength = 255
/** The end of the year 9999, in seconds since the epoch. No token that is accepted expires later. */
export const maxNumericDate = 253_402_300_799

/**
 * Throws a TypeError that names the first mistake in a list of revocations. Without it a mistake would revoke nothing,
 * or keep an entry for thousands of years.
 *
 * It must be an array. Each revocation must have:
 *
 * - `scope`: `token` or `session`
 * - `id`: a text of 1 to 255 characters
 * - `expiresAt`: a finite number of seconds, up to the year 9999
 * - `subject`: a text that is not empty, or nothing
 */
export function checkRevocations (revocations: unknown): asserts revocations is readonly Revocation[] {
  if (!Array.isArray(revocations)) {
    throw new TypeError(
      `revoke() takes a list of revocations, [{ scope, id, expiresAt }], and was given ${shown(revocations)}.`
    )
  }
  for (const [index, revocation] of revocations.entries()) checkRevocation(`revocations[${index}]`, revocation)
}

function checkRevocation (name: string, revocation: unknown): void {
  if (typeof revocation !== 'object' || revocation === null) {
    throw new TypeError(`${name} is ${shown(revocation)}; it must be { scope, id, expiresAt }.`)
  }
  const { scope, id, expiresAt, subject } = revocation as Record<keyof Revocation, unknown>
  if (scope !== 'token' && scope !== 'session') {
    throw new TypeError(`${name}.scope is ${shown(scope)}; it must be 'token' or 'session'.`)
  }
  if (typeof id !== 'string' || id === '' || id.length > maxIdLength) {
    throw new TypeError(
      `${name}.id is ${shown(id)}; it must be the jti of a token or the sid of a session, with 1 to ${maxIdLength} characters.`
    )
  }
  if (typeof expiresAt !== 'number' || !Number.isFinite(expiresAt)) {
    throw new TypeError(
      `${name}.expiresAt is ${shown(expiresAt)}; it must be the exp of the token, in seconds since the epoch.`
    )
  }
  if (expiresAt > maxNumericDate) {
    throw new TypeError(
      `${name}.expiresAt is ${expiresAt}; it must be in seconds since the epoch. It looks like milliseconds: divide it by 1000.`
    )
  }
  if (subject !== undefined && (typeof subject !== 'string' || subject === '')) {
    throw new TypeError(`${name}.subject is ${shown(subject)}; it must be the sub of the token, or be left out.`)
  }
}

/**
 * Returns when the entry of a revocation may end, in milliseconds since the epoch.
 *
 * A token is accepted until `exp` plus the leeway. The clock of the replica that accepts it may be behind by the
 * leeway, and the clock that ends the entry ahead by the leeway. So an entry outlives its token by three times the
 * leeway.
 *
 * A replica accepts the token *before* that instant, and not at it (RFC 7519, section 4.1.4).
 *
 * @param expiresAt `exp` of the token, in seconds since the epoch
 * @param leewaySeconds by how much clocks may differ
 * @throws {TypeError} if `expiresAt` is not a finite number: an entry that ends at NaN would never be found
 */
export function entryEndsAt (expiresAt: number, leewaySeconds: number): number {
  if (!Number.isFinite(expiresAt)) throw new TypeError('A revocation needs an expiresAt, in seconds since the epoch.')
  return Math.ceil((expiresAt + entryMarginSeconds(leewaySeconds)) * 1000)
}

/**
 * Returns by how many seconds an entry outlives its token: three times the leeway, see {@link entryEndsAt}. Redis, the
 * record and pruning all keep revocations for this long.
 */
export function entryMarginSeconds (leewaySeconds: number): number {
  return 3 * leewaySeconds
}

/**
 * Returns the name of an entry in a blocklist. Scopes cannot collide, for any ids. A UUID (RFC 9562, section 4) loses
 * its hyphens. With the default prefix, a key then takes 48 bytes in Redis instead of 64. Throws a TypeError if the id
 * is not a text, or is empty.
 */
export function entryKey (scope: RevocationScope, id: string): string {
  if (typeof id !== 'string' || id === '') {
    throw new TypeError(
      `The ${scope === 'token' ? 'jti' : 'sid'} is ${shown(id)}; it must be a text that is not empty.`
    )
  }
  return (scope === 'token' ? 'jti:' : 'sid:') + withoutHyphens(id)
}

const hyphen = 45

/** Removes the hyphens of a UUID. By position instead of a regular expression: this is done twice for each request. */
function withoutHyphens (id: string): string {
  const isLikeUuid =
    id.length === 36 &&
    id.charCodeAt(8) === hyphen &&
    id.charCodeAt(13) === hyphen &&
    id.charCodeAt(18) === hyphen &&
    id.charCodeAt(23) === hyphen
  return isLikeUuid ? id.slice(0, 8) + id.slice(9, 13) + id.slice(14, 18) + id.slice(19, 23) + id.slice(24) : id
}
