import { createHash } from 'node:crypto'
import { SignoutError } from '../errors.ts'
import { maxIdLength, type RevocableClaims } from '../entries/revocation.ts'
import { requireText, shown } from '../input/check-options.ts'
import { ClaimError } from './claim-mistakes.ts'

/** The claims of a verified token, by their names. */
export type Claims = Readonly<Record<string, unknown>>

/** The name of a claim, or a function that returns its value. It returns undefined for a token without the claim. */
export type ClaimSource = string | ((claims: Claims) => string | undefined)

/** Where an issuer puts the ids by which its tokens are revoked. */
export interface ClaimNames {
  /**
   * The id of the token. Defaults to `jti`. A token without it is known by the SHA-256 of its claims. Identical tokens
   * of one second then share an entry: revoking one of them revokes all.
   */
  tokenId?: ClaimSource
  /** The id of the session. Defaults to `sid`. */
  sessionId?: ClaimSource
  /** The id of the user. Defaults to `sub`. */
  subject?: ClaimSource
}

/** The mapping of the claims of each foreign issuer, by its `iss`; or a function that returns it, or undefined. */
export type ForeignIssuers = Readonly<Record<string, ClaimNames>> | ((issuer: string) => ClaimNames | undefined)

export interface IdentityOptions {
  /** The mapping for tokens of no foreign issuer. Without it they need a `jti`. */
  claimNames?: ClaimNames | undefined
  /** The issuers whose ids are kept apart from all others by a prefix. */
  foreignIssuers?: ForeignIssuers | undefined
}

/** The ids by which the blocklist knows a token, and its times. */
export type TokenIdentity = RevocableClaims & { exp: number }

/** Finds the identities of tokens. */
export interface Identities {
  /**
   * Returns the identity of a token with these claims. It is the same object for the same claims. Without a mapping the
   * claims are the identity. The claims may be wrong: check what is returned.
   *
   * Throws `invalid_token` if an id is of the wrong type.
   */
  identify (claims: object): TokenIdentity
  /**
   * Returns the identity of claims that may be a part of those of a token. Its `jti` is undefined if they hold no id:
   * the SHA-256 of a part would be that of no token.
   */
  identifyGiven (claims: object): TokenIdentity
  /** Returns the identity if these very claims were identified before, and undefined otherwise. */
  recall (claims: object): TokenIdentity | undefined
  /**
   * Returns the id of a session or a subject in the blocklist, for the issuer of its tokens. Throws a TypeError for an
   * issuer that is not foreign.
   */
  idOf (id: string, issuer: string | undefined): string
  /** True if the claims of some tokens are mapped. */
  isMapping: boolean
  /** True if an id is not known without the issuer of its token. */
  needsIssuer: boolean
}

/**
 * Creates the mapping from the claims of verified tokens to the ids in the blocklist. Ids of foreign issuers get a
 * prefix that is made of the issuer, so that two issuers with the same `jti` do not share an entry. All other ids stay
 * plain: a blocklist can be shared with the service.
 *
 * Throws a TypeError if a mapping is wrong.
 */
export function createIdentities ({ claimNames, foreignIssuers }: IdentityOptions): Identities {
  if (claimNames !== undefined) checkClaimNames('claimNames', claimNames)
  if (foreignIssuers !== undefined) checkForeignIssuers(foreignIssuers)
  const findForeign = toFunction(foreignIssuers)
  const isMapping = claimNames !== undefined || foreignIssuers !== undefined
  const known = new WeakMap<object, TokenIdentity>()

  function map (claims: Claims, hash: (claims: Claims) => string | undefined): TokenIdentity {
    const { iss } = claims
    const foreign = typeof iss === 'string' ? findForeign(iss) : undefined
    const names = foreign ?? claimNames
    if (names === undefined) return claims as unknown as TokenIdentity
    const keep = foreign === undefined ? (id: string) => id : (id: string) => foreignId(iss as string, id)
    const tokenId = readId(claims, 'tokenId', names.tokenId ?? 'jti') ?? hash(claims)
    const sessionId = readId(claims, 'sessionId', names.sessionId ?? 'sid')
    const subject = readId(claims, 'subject', names.subject ?? 'sub')
    return {
      ...claims,
      jti: tokenId === undefined ? undefined : keep(tokenId),
      sid: sessionId === undefined ? undefined : keep(sessionId),
      sub: subject === undefined ? undefined : keep(subject)
    } as TokenIdentity
  }

  return {
    isMapping,
    needsIssuer: foreignIssuers !== undefined,
    identifyGiven: claims => map(claims as Claims, () => undefined),
    recall: claims => known.get(claims),
    identify (claims) {
      let identity = known.get(claims)
      if (identity !== undefined) return identity
      identity = isMapping ? map(claims as Claims, ofAll) : claims as TokenIdentity
      known.set(claims, identity)
      return identity
    },
    idOf (id, issuer) {
      if (issuer === undefined) return id
      if (typeof issuer === 'string' && findForeign(issuer) !== undefined) return foreignId(issuer, id)
      throw new TypeError(`issuer is ${shown(issuer)}, which is not one of foreignIssuers: nothing would be revoked.`)
    }
  }
}

function toFunction (issuers: ForeignIssuers | undefined): (issuer: string) => ClaimNames | undefined {
  if (typeof issuers === 'function') {
    return issuer => {
      const names = issuers(issuer) ?? undefined
      if (names !== undefined) checkClaimNames(`foreignIssuers(${shown(issuer)})`, names)
      return names
    }
  }
  const mappings = new Map(Object.entries(issuers ?? {}))
  return issuer => mappings.get(issuer)
}

function readId (claims: Claims, name: keyof ClaimNames, source: ClaimSource): string | undefined {
  const own = (claim: string) => Object.hasOwn(claims, claim) ? claims[claim] : undefined
  const id = typeof source === 'function' ? call(source, claims, name) : own(source)
  if (id === undefined) return undefined
  if (typeof id === 'string' && id !== '') return id
  const where = typeof source === 'function' ? `The ${name} of the mapping` : `The claim ${source}`
  throw new SignoutError('invalid_token', { cause: new ClaimError(`${where} must be a text that is not empty.`) })
}

/** Calls a function of the app. One that fails on the claims of a token refuses this token. */
function call (source: (claims: Claims) => unknown, claims: Claims, name: keyof ClaimNames): unknown {
  try {
    return source(claims)
  } catch (cause) {
    throw new SignoutError('invalid_token', { cause: new ClaimError(`The ${name} of the mapping failed.`, { cause }) })
  }
}

/**
 * Returns the id of a foreign issuer in the blocklist. The prefix is 128 bits of the SHA-256 of the issuer, which no
 * issuer can choose. An id that would become too long is hashed.
 */
function foreignId (issuer: string, id: string): string {
  const prefix = `${digest(issuer).slice(0, 22)}:`
  return prefix + (prefix.length + id.length > maxIdLength ? digest(id) : id)
}

/** Returns the SHA-256 of a text, in 43 characters. */
function digest (text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** Returns the SHA-256 of all claims. */
function ofAll (claims: Claims): string {
  return digest(canonical(claims))
}

/** Returns JSON in which the keys of each object are sorted, so that equal claims give equal texts. */
function canonical (value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member !== 'object' || member === null || Array.isArray(member)) return member
    return Object.fromEntries(Object.entries(member).sort(([one], [other]) => one < other ? -1 : 1))
  })
}

const nameOptions = ['tokenId', 'sessionId', 'subject']

function checkClaimNames (option: string, names: unknown): void {
  if (typeof names !== 'object' || names === null || Array.isArray(names)) {
    throw new TypeError(
      `The option ${option} is ${shown(names)}; it must be { tokenId, sessionId, subject }, or a part of it.`
    )
  }
  for (const [name, source] of Object.entries(names)) {
    if (!nameOptions.includes(name)) {
      throw new TypeError(`The option ${option}.${name} is not known; it must be one of ${nameOptions.join(', ')}.`)
    }
    if (source !== undefined && typeof source !== 'function') {
      requireText(`The option ${option}.${name}`, source, 'the name of a claim, or a function that returns its value')
    }
  }
}

function checkForeignIssuers (issuers: unknown): void {
  if (typeof issuers === 'function') return
  if (typeof issuers !== 'object' || issuers === null || Array.isArray(issuers)) {
    throw new TypeError(
      `The option foreignIssuers is ${shown(issuers)}; it must be mappings by issuer, such as { 'https://issuer.example': {} }.`
    )
  }
  for (const [issuer, names] of Object.entries(issuers)) checkClaimNames(`foreignIssuers[${shown(issuer)}]`, names)
}
