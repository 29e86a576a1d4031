/** What is taken back: one access token (its `jti`), or every token of a session (its `sid`). */
export type RevocationScope = 'token' | 'session'

/** The taking back of one token or one session. */
export interface Revocation {
  scope: RevocationScope
  /** The `jti` (RFC 7519, section 4.1.7) or the `sid` that is refused from now on. */
  id: string
  /** When the last token that this ends expires: its `exp`, in seconds since the epoch (RFC 7519 `NumericDate`). */
  expiresAt: number
  /** Whose it was (`sub`), as far as that is known. Where the blocklist is in parts it says which of them. */
  subject?: string | undefined
}

/** The claims of a verified token that the blocklist is asked about. */
export interface RevocableClaims {
  jti: string
  sid?: string
  /** Whose the token is. Where the blocklist is in parts it says which of them to ask. */
  sub?: string
  /** When the token was issued, in seconds since the epoch. */
  iat?: number
}

/**
 * When the entry of a revocation may be forgotten, in milliseconds since the epoch.
 *
 * A token is accepted until `exp` plus the leeway, by a replica whose clock may be behind by the leeway,
 * while the clock that expires the entry may be ahead by the leeway: hence three of them.
 *
 * @param expiresAt `exp` of the token, in seconds since the epoch
 * Throws a TypeError for what is no instant: an entry that ends at NaN would be none, and nobody would notice.
 *
 * @param leewaySeconds by how much clocks may differ
 */
export function entryEndsAt (expiresAt: number, leewaySeconds: number): number {
  if (!Number.isFinite(expiresAt)) throw new TypeError('A revocation needs an expiresAt, in seconds since the epoch.')
  return Math.ceil((expiresAt + 3 * leewaySeconds) * 1000)
}

/**
 * The name of an entry in a blocklist. Scopes cannot collide, whatever the ids are. A UUID (RFC 9562, section 4) goes without its
 * hyphens: with the default prefix a key then takes 48 bytes of Redis' memory instead of 64.
 */
export function entryKey (scope: RevocationScope, id: string): string {
  return (scope === 'token' ? 'jti:' : 'sid:') + withoutHyphens(id)
}

const hyphen = 45

/** By place instead of by an expression: this is done twice for each request. */
function withoutHyphens (id: string): string {
  const isLikeUuid = id.length === 36 && id.charCodeAt(8) === hyphen && id.charCodeAt(13) === hyphen && id.charCodeAt(18) === hyphen && id.charCodeAt(23) === hyphen
  return isLikeUuid ? id.slice(0, 8) + id.slice(9, 13) + id.slice(14, 18) + id.slice(19, 23) + id.slice(24) : id
}
