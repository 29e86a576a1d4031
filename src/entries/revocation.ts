import { shown } from '../input/check-options.ts'

/**
 * The scope of a revocation:
 *
 * - `token`: one access token, by its `jti`
 * - `session`: every token of a session, by its `sid`
 * - `key`: every token that a signing key signed, by its `kid`
 * - `everyone`: every token whose owner proved the password before an instant
 * - `subject`: every token of a user that was issued before an instant. Only `revokeSubject` makes this one.
 */
export type RevocationScope = 'token' | 'session' | 'key' | 'everyone' | 'subject'

/** A revocation: of one token, of one session, of all tokens of a signing key, or of everyone's. */
export interface Revocation {
  scope: RevocationScope
  /** The `jti` (RFC 7519, section 4.1.7), the `sid` or the `kid` that is refused from now on. */
  id: string
  /**
   * When the last token that this ends expires: its `exp`, in seconds since the epoch (RFC 7519 `NumericDate`).
   * `Infinity` for a key, whose thief can sign any `exp`, and for everyone.
   */
  expiresAt: number
  /** The user whose token it is (`sub`), if known. In a cluster it selects the shard. */
  subject?: string | undefined
  /**
   * For everyone: tokens with an earlier `auth_time` are refused, or with an earlier `iat` in the plugin. For a
   * subject: tokens with an earlier `iat`. In whole seconds since the epoch.
   */
  issuedBefore?: number | undefined
}

/** Returns the revocation of every token that a signing key signed. */
export function keyRevocation (kid: string): Revocation {
  return { scope: 'key', id: kid, expiresAt: Infinity }
}

/** Returns the revocation of every token whose owner proved the password before an instant. */
export function everyoneRevocation (issuedBefore: number): Revocation {
  return { scope: 'everyone', id: everyoneName, expiresAt: Infinity, issuedBefore }
}

/** The claims of a verified token that the blocklist is asked about. */
export interface RevocableClaims {
  jti: string
  sid?: string
  /** The user whose token it is. In a cluster it selects the shard. */
  sub?: string
  /** When the token was issued, in seconds since the epoch. */
  iat?: number
  /** When the owner of the token proved the password, in seconds since the epoch. */
  auth_time?: number
}

/** The longest `jti` or `sid` of a token that is accepted, in characters. */
export const maxIdLength = 255
/** The end of the year 9999, in seconds since the epoch. No token that is accepted expires later. */
export const maxNumericDate = 253_402_300_799

/** The name of the one entry for everyone. */
export const everyoneName = 'everyone'

/**
 * Throws a TypeError that names the first mistake in a list of revocations. Without it a mistake would revoke nothing,
 * or keep an entry for thousands of years.
 *
 * It must be an array. Each revocation must have:
 *
 * - `scope`: one of {@link RevocationScope}
 * - `id`: a text of 1 to 255 characters
 * - `expiresAt`: a finite number of seconds, up to the year 9999. `Infinity` for `key` and `everyone`.
 * - `subject`: a text that is not empty, or nothing
 * - `issuedBefore`, for `everyone` and `subject` alone: a whole number of seconds, up to the year 9999
 *
 * @param takesSubjects true if the scope `subject` is right as well
 */
export function checkRevocations (
  revocations: unknown, takesSubjects = false
): asserts revocations is readonly Revocation[] {
  if (!Array.isArray(revocations)) {
    throw new TypeError(
      `revoke() takes a list of revocations, [{ scope, id, expiresAt }], and was given ${shown(revocations)}.`
    )
  }
  for (const [index, revocation] of revocations.entries()) {
    checkRevocation(`revocations[${index}]`, revocation, takesSubjects)
  }
}

function checkRevocation (name: string, revocation: unknown, takesSubjects: boolean): void {
  if (typeof revocation !== 'object' || revocation === null) {
    throw new TypeError(`${name} is ${shown(revocation)}; it must be { scope, id, expiresAt }.`)
  }
  const { scope, id, expiresAt, subject, issuedBefore } = revocation as Record<keyof Revocation, unknown>
  const isEndless = scope === 'key' || scope === 'everyone'
  if (!isEndless && scope !== 'token' && scope !== 'session' && !(takesSubjects && scope === 'subject')) {
    throw new TypeError(`${name}.scope is ${shown(scope)}; it must be 'token' or 'session'.`)
  }
  if (typeof id !== 'string' || id === '' || id.length > maxIdLength) {
    throw new TypeError(
      `${name}.id is ${shown(id)}; it must be the jti of a token or the sid of a session, with 1 to ${maxIdLength} characters.`
    )
  }
  if (isEndless) checkEndless(name, scope, expiresAt)
  else checkExpiry(name, expiresAt)
  if ((scope === 'everyone' || scope === 'subject') && !isWholeSecond(issuedBefore)) {
    throw new TypeError(`${name}.issuedBefore is ${shown(issuedBefore)}; it must be in whole seconds since the epoch.`)
  }
  if (subject !== undefined && (typeof subject !== 'string' || subject === '')) {
    throw new TypeError(`${name}.subject is ${shown(subject)}; it must be the sub of the token, or be left out.`)
  }
}

function checkExpiry (name: string, expiresAt: unknown): void {
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
}

function checkEndless (name: string, scope: 'key' | 'everyone', expiresAt: unknown): void {
  if (expiresAt !== Infinity) {
    throw new TypeError(`${name}.expiresAt is ${shown(expiresAt)}; with the scope '${scope}' it must be Infinity.`)
  }
}

function isWholeSecond (value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= maxNumericDate
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
 * its hyphens. With the default prefix, a key then takes 48 bytes in Redis instead of 64. Everyone has one entry.
 * Throws a TypeError if the id is not a text, or is empty.
 */
export function entryKey (scope: RevocationScope, id: string): string {
  if (scope === 'everyone') return everyoneName
  if (scope === 'subject') return subjectKey(id)
  if (typeof id !== 'string' || id === '') {
    throw new TypeError(`The ${claimOf[scope]} is ${shown(id)}; it must be a text that is not empty.`)
  }
  return `${claimOf[scope]}:${withoutHyphens(id)}`
}

/**
 * Returns the name of the entry of a subject, which holds an instant: tokens with an earlier `iat` are refused. Throws
 * a TypeError unless the subject is a text of 1 to 255 characters.
 */
export function subjectKey (subject: string): string {
  if (typeof subject !== 'string' || subject === '' || subject.length > maxIdLength) {
    throw new TypeError(
      `The subject is ${shown(subject)}; it must be the sub of a token, with 1 to ${maxIdLength} characters.`
    )
  }
  return `sub:${subject}`
}

const claimOf = { token: 'jti', session: 'sid', key: 'kid' } as const

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
