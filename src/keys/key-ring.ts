import { setTimeout } from 'node:timers/promises'
import { exportSPKI, importJWK, type CryptoKey } from 'jose'
import type { Database } from '../db/database.ts'
import type { PublicJwk, SigningAlgorithm } from '../db/public-jwk.ts'
import { SignoutError, StartupError } from '../errors.ts'
import { createPoll } from '../timing/poll.ts'
import type { KeyEncryption } from './key-encryption.ts'
import {
  addActiveUnlessThere, addSpareUnlessThere, deleteSpare, listKeys, lockKeys, type StoredKey
} from './key-repository.ts'
import { makeKey } from './new-key.ts'
import { encryptNewKey } from './root-secret.ts'

/** The key that signs new tokens. */
export interface SigningKey {
  kid: string
  algorithm: SigningAlgorithm
  privateKey: CryptoKey
}

/** A public key as PEM (SPKI), and the algorithm that it is for. A token with another algorithm is not its own. */
export interface VerifyingKey {
  pem: string
  algorithm: SigningAlgorithm
}

/**
 * The keys of this service: one that signs, a spare that is published already, and those that have signed tokens which
 * are still valid. Read from the database each second, so replicas learn of a change automatically.
 */
export interface KeyRing {
  /**
   * Reads the keys, and returns the one that signs now. A client that refreshes because its key was compromised must
   * not get another token of that key. Rejects with `service_unavailable` when the database does not answer, or when
   * the key is encrypted under another secret.
   */
  getSigningKey (): Promise<SigningKey>
  /** The public keys as a JWK Set (RFC 7517, section 5): also the spare key, and no compromised one. */
  readonly jwks: { keys: PublicJwk[] }
  /**
   * For how many seconds the JWK Set may be cached, from now on. It becomes less while the database cannot be read, so
   * that no cache misses a new key when that begins to sign.
   */
  readonly jwksMaxAgeSeconds: number
  /**
   * Returns the key of that `kid`, or undefined if this service has no such key. Returns a promise for an unknown
   * `kid`: the database is asked, once a second at most, however many such tokens come.
   *
   * If the ring was not read for as long as an access token lives, it is read first: keys that are trusted no more
   * would not be known. Rejects with `key_unavailable` when the database does not answer.
   */
  find (kid: unknown): VerifyingKey | undefined | Promise<VerifyingKey | undefined>
  /**
   * Returns the key of that `kid` if it has ever signed, as far back as sessions live, for the end of a session with a
   * token that has expired. Never a compromised one.
   */
  findAny (kid: unknown): VerifyingKey | undefined
  /** Throws a `StartupError` if the key that signs is encrypted under another secret than the one of this replica. */
  requireSigningKey (): void
  /** Reads the keys again. Rejects when the database does not answer. */
  reload (): Promise<void>
  /** Starts to read the keys again and again. */
  start (): void
  stop (): void
}

export interface KeyRingOptions {
  database: Database
  encryption: KeyEncryption
  /** The algorithm of new keys. */
  algorithm: SigningAlgorithm
  /** The lifetime of an access token, and the longest of a session, in seconds. */
  tokenLifetimeSeconds: number
  sessionMaxAgeSeconds: number
  /** For how many seconds the JWK Set may be cached after the keys were read. */
  jwksMaxAgeSeconds: number
  /** A monotonic clock, in milliseconds. */
  now?: () => number
}

const pollMs = 1_000
/** The time between two questions for unknown keys, in milliseconds. */
const askAgainMs = 1_000

/** The keys as they were read. */
interface Ring {
  readAt: number
  /** The error says that the key is encrypted under another secret. */
  signing: SigningKey | StartupError
  jwks: { keys: PublicJwk[] }
  verifying: ReadonlyMap<unknown, VerifyingKey>
  any: ReadonlyMap<unknown, VerifyingKey>
  compromised: ReadonlySet<unknown>
}

/**
 * Opens the key ring in the database, and makes the keys that are missing. Replicas that start at the same time get the
 * same keys: the database keeps only the first. A spare key of another algorithm than new keys have is replaced.
 *
 * Open the root secret first: that checks the secret. Rejects with a {@link StartupError} if the key that signs is
 * encrypted under another one.
 */
export async function openKeyRing (options: KeyRingOptions): Promise<KeyRing> {
  const { tokenLifetimeSeconds, now = () => performance.now() } = options
  const reader = createReader(options)
  await addMissing(options)
  let ring = await reader.read()
  requireKey(ring)
  let askedAt = now()
  let underWay: Promise<unknown> = Promise.resolve()
  let next: Promise<void> | undefined

  /** A read that is under way may be older than the question, so all who ask meanwhile share the next one. */
  function reload (): Promise<void> {
    if (next === undefined) {
      next = underWay.then(async () => {
        next = undefined
        ring = await reader.read()
      })
      underWay = next.catch(() => {})
    }
    return next
  }

  let asking: Promise<void> | undefined
  async function ask (kid: unknown): Promise<VerifyingKey | undefined> {
    asking ??= setTimeout(Math.max(0, askedAt + askAgainMs - now())).then(() => {
      askedAt = now()
      asking = undefined
      return reload()
    })
    return await findAfter(asking, kid)
  }

  async function findAfter (reading: Promise<void>, kid: unknown): Promise<VerifyingKey | undefined> {
    try {
      await reading
    } catch (cause) {
      throw new SignoutError('key_unavailable', { cause })
    }
    return ring.verifying.get(kid)
  }

  const poll = createPoll(() => reload().catch(() => {}), { everyMs: pollMs, hastenedMs: 0 })
  return {
    async getSigningKey () {
      await reload()
      try {
        return requireKey(ring)
      } catch (cause) {
        throw new SignoutError('service_unavailable', { cause })
      }
    },
    requireSigningKey () { requireKey(ring) },
    get jwks () { return ring.jwks },
    get jwksMaxAgeSeconds () {
      return Math.max(0, Math.floor(options.jwksMaxAgeSeconds - (now() - ring.readAt) / 1000))
    },
    find (kid) {
      if (now() - ring.readAt > tokenLifetimeSeconds * 1000) return findAfter(reload(), kid)
      const known = ring.verifying.get(kid)
      if (known !== undefined || typeof kid !== 'string' || ring.compromised.has(kid)) return known
      return ask(kid)
    },
    findAny: kid => ring.any.get(kid),
    reload,
    start: poll.start,
    stop: poll.stop
  }
}

function requireKey ({ signing }: Ring): SigningKey {
  if (signing instanceof StartupError) throw signing
  return signing
}

/** Adds a key that signs and a spare one of the algorithm, if they are missing. */
async function addMissing ({ database, encryption, algorithm }: KeyRingOptions): Promise<void> {
  const find = (keys: readonly StoredKey[]) => ({
    active: keys.find(({ state }) => state === 'active'),
    spare: keys.find(({ state }) => state === 'spare')
  })
  const isComplete = ({ active, spare }: ReturnType<typeof find>) =>
    active !== undefined && spare?.publicJwk.alg === algorithm
  if (isComplete(find(await database.run(listKeys)))) return
  // Made before the transaction: a key of RS256 takes long.
  const [first, second] = [await makeKey(algorithm), await makeKey(algorithm)]
  await database.transaction(async db => {
    const { active, spare } = find(await lockKeys(db))
    if (active === undefined) await addActiveUnlessThere(db, await encryptNewKey(db, encryption, first))
    if (spare !== undefined && spare.publicJwk.alg !== algorithm) await deleteSpare(db, spare.kid)
    await addSpareUnlessThere(db, await encryptNewKey(db, encryption, second))
  })
}

/** Creates the reader of the ring. It imports each key once. */
function createReader ({ database, encryption, sessionMaxAgeSeconds, now = () => performance.now() }: KeyRingOptions) {
  let publicKeys = new Map<string, VerifyingKey>()
  let signing: Ring['signing'] | undefined

  async function importPublic ({ kid, publicJwk }: StoredKey): Promise<VerifyingKey> {
    const known = publicKeys.get(kid)
    if (known !== undefined) return known
    return { pem: await exportSPKI(await importJWK(publicJwk, publicJwk.alg) as CryptoKey), algorithm: publicJwk.alg }
  }

  return {
    async read (): Promise<Ring> {
      const readAt = now()
      const keys = await database.run(listKeys)
      const active = keys.find(({ state }) => state === 'active')
      if (active === undefined) throw new Error('The database has no key that signs.')
      const useful = keys.filter(({ state, isVerifying, retiredSeconds }) =>
        isVerifying || (state === 'retired' && retiredSeconds < sessionMaxAgeSeconds))
      publicKeys = new Map(await Promise.all(useful.map(async key => [key.kid, await importPublic(key)] as const)))
      if (signing === undefined || signing instanceof StartupError || signing.kid !== active.kid) {
        signing = await importSigningKey(active, encryption)
      }
      const verifying = useful.filter(({ isVerifying }) => isVerifying)
      return {
        readAt,
        signing,
        jwks: { keys: verifying.map(({ publicJwk }) => publicJwk) },
        verifying: new Map(verifying.map(({ kid }) => [kid, publicKeys.get(kid) as VerifyingKey])),
        any: publicKeys,
        compromised: new Set(keys.filter(({ state }) => state === 'compromised').map(({ kid }) => kid))
      }
    }
  }
}

/** Public keys must go on being read where the private one cannot be opened, so that error is returned. */
async function importSigningKey (stored: StoredKey, encryption: KeyEncryption): Promise<Ring['signing']> {
  const { kid, publicJwk: { alg: algorithm }, encryptedPrivateJwk: encrypted } = stored
  try {
    const privateKey = await importJWK(await encryption.decrypt({ name: kid, encrypted }), algorithm) as CryptoKey
    return { kid, algorithm, privateKey }
  } catch (error) {
    if (error instanceof StartupError) return error
    throw error
  }
}
