import type { RevocableTokenClaims } from './claims.ts'
import { deepFreeze } from './deep-freeze.ts'

/** The key that verified a token. Absent if one key verifies all tokens. */
export interface KeyUse {
  key: string | Buffer
  /** The decoded token that the key function was called with. It is frozen once it is remembered. */
  token: unknown
}

/**
 * The number of characters at the end of a token that it is looked up by. They are part of its signature, so two
 * verified tokens practically never end alike. To hash them costs a tenth of hashing the whole text. A token is found
 * only if its whole text is the same.
 */
const placeLength = 43

/** A token whose signature and claims were verified. */
export interface VerifiedToken {
  readonly claims: RevocableTokenClaims
  readonly keyUse: KeyUse | undefined
}

/**
 * Remembers verified tokens by their exact text. The second use of a token then needs no decoding and no signature
 * check.
 *
 * A signature that was right for a key stays right. The claims cannot change: they are deeply frozen, because every
 * request gets the same object. Three things can change. The clock is checked on every use. The key is returned with
 * the claims, so that the caller can compare it. The blocklist is checked elsewhere, for every request.
 *
 * Beyond `maxTokens`, the token that was not used for longest is dropped. Only verified tokens get in, so requests
 * without valid tokens cannot drive others out.
 */
export interface VerifiedTokens {
  /** Returns the token that was remembered under this exact text, if the clock still allows it. */
  find (text: string): VerifiedToken | undefined
  /** Remembers a token. Call it only with claims that have just been verified. */
  remember (text: string, claims: RevocableTokenClaims, keyUse?: KeyUse): void
  forget (text: string): void
  readonly size: number
}

export interface VerifiedTokensOptions {
  maxTokens: number
  /** The number of milliseconds by which clocks may differ. */
  leewayMs: number
  /** True if `nbf` is not checked. */
  ignoreNotBefore?: boolean
  /** The largest age of a token, by its `iat`, in milliseconds. No leeway is added, because @fastify/jwt adds none. */
  maxAgeMs?: number | undefined
  /** The longest time that a token is remembered, in milliseconds. Defaults to the rest of its validity. */
  ttlMs?: number | undefined
  /** Returns the time, in milliseconds since the epoch. Defaults to `Date.now`. */
  now?: () => number
}

interface Entry extends VerifiedToken {
  text: string
  /** The last {@link placeLength} characters of the text. */
  place: string
  /**
   * The first instant at which it counts, and the first at which it no longer counts, in milliseconds since the epoch.
   */
  startsAt: number
  endsAt: number
  /** Its neighbours in the order of use. */
  newer: Entry
  older: Entry
}

export function createVerifiedTokens (options: VerifiedTokensOptions): VerifiedTokens {
  const { maxTokens, leewayMs, ignoreNotBefore = false, maxAgeMs = Infinity } = options
  const { ttlMs = Infinity, now = Date.now } = options
  const entries = new Map<string, Entry>()
  // The list is a ring. This entry is after the newest and before the oldest, so that no link is ever missing.
  const ends = {} as Entry
  ends.newer = ends.older = ends

  function unlink (entry: Entry): void {
    entry.newer.older = entry.older
    entry.older.newer = entry.newer
  }

  function linkAsNewest (entry: Entry): void {
    entry.newer = ends
    entry.older = ends.older
    ends.older.newer = entry
    ends.older = entry
  }

  function drop (entry: Entry): void {
    unlink(entry)
    entries.delete(entry.place)
  }

  function lookFor (text: string): Entry | undefined {
    const entry = entries.get(text.slice(-placeLength))
    return entry?.text === text ? entry : undefined
  }

  return {
    find (text) {
      const entry = lookFor(text)
      if (entry === undefined) return undefined
      const at = now()
      // Negated, so that `NaN` fails.
      if (!(at >= entry.startsAt && at < entry.endsAt)) {
        drop(entry)
        return undefined
      }
      if (entry.newer !== ends) {
        unlink(entry)
        linkAsNewest(entry)
      }
      return entry
    },
    remember (text, claims, keyUse) {
      const { exp, iat, nbf } = claims
      // Each bound is that of the check that the token has passed: `createClaimsCheck`, and the verifier of fast-jwt.
      const startsAt = Math.max(iat ?? 0, ignoreNotBefore ? 0 : nbf ?? 0) * 1000 - leewayMs
      const tooOldAt = iat === undefined ? Infinity : iat * 1000 + maxAgeMs
      const endsAt = Math.min(exp * 1000 + leewayMs, tooOldAt, now() + ttlMs)
      deepFreeze(claims)
      // A key function is called with it on every use.
      deepFreeze(keyUse?.token)
      const place = text.slice(-placeLength)
      const known = entries.get(place)
      if (known !== undefined) unlink(known)
      const entry = { text, place, claims, keyUse, startsAt, endsAt } as Entry
      linkAsNewest(entry)
      entries.set(place, entry)
      if (entries.size > maxTokens) drop(ends.newer)
    },
    forget (text) {
      const entry = lookFor(text)
      if (entry !== undefined) drop(entry)
    },
    get size () { return entries.size }
  }
}
