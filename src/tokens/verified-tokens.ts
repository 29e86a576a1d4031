import type { RevocableTokenClaims } from './claims.ts'
import { deepFreeze } from './deep-freeze.ts'

/** What a token was verified with, where that is not the same for all tokens and for ever. */
export interface KeyUse {
  key: string | Buffer
  /** The decoded token, by which the key was found: frozen once it is remembered. */
  token: unknown
}

/**
 * Where a text is looked for: by its last characters, which are the greater part of a signature, and cost a tenth of
 * what it costs to hash all of it. It counts only when all of it is the same. Two tokens that were verified do not end
 * alike.
 */
const placeLength = 43

/** A token that was verified: its signature, and all that its claims must be. */
export interface VerifiedToken {
  readonly claims: RevocableTokenClaims
  readonly keyUse: KeyUse | undefined
}

/**
 * Tokens that were verified, by the exact text that they came in, so that the second use of one costs no decoding and
 * no signature.
 *
 * That rests on three things. A signature that was right for a key stays right, and so does whatever was checked of
 * claims that cannot change: they are deeply frozen, since every request gets the same object. What changes is the
 * clock, which is asked on every use; the key, which is in the answer for whoever uses it to compare; and the
 * blocklist, which is asked about every request and is no matter of this.
 *
 * Bounded: beyond `maxTokens` the one goes that was not used for longest. Only what was verified gets in, so that
 * nobody without good tokens can drive others out.
 */
export interface VerifiedTokens {
  /** What was remembered under this very text, if the clock still allows it. */
  find (text: string): VerifiedToken | undefined
  /** To be called with what has just been verified, and with nothing else. */
  remember (text: string, claims: RevocableTokenClaims, keyUse?: KeyUse): void
  forget (text: string): void
  readonly size: number
}

export interface VerifiedTokensOptions {
  maxTokens: number
  /** By how much clocks may differ, in milliseconds. */
  leewayMs: number
  /** Whether `nbf` is not looked at. */
  ignoreNotBefore?: boolean
  /** How old a token may be, by its `iat`, in milliseconds. No leeway is added to it, since @fastify/jwt adds none. */
  maxAgeMs?: number | undefined
  /** For how long one is remembered at most, in milliseconds; as long as it is valid when this is left out. */
  ttlMs?: number | undefined
  /** The clock, in milliseconds since the epoch. */
  now?: () => number
}

interface Entry extends VerifiedToken {
  text: string
  /** The end of the text. */
  place: string
  /**
   * The first instant at which it counts, and the first at which it does not any more, in milliseconds since the epoch.
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
  // The list is a ring with this in it, after the newest and before the oldest, so that no link is ever missing.
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
      // Written so that no clock that is none passes.
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
      // Whoever finds keys gets it on every use.
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
