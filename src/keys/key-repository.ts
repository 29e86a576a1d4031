import { and, asc, eq, inArray, sql } from 'drizzle-orm'
import { clockTimestamp } from '../db/clock.ts'
import type { Drizzle } from '../db/database.ts'
import type { PublicJwk } from '../db/public-jwk.ts'
import { sessions, signingKeys, type KeyState } from '../db/tables.ts'

/** A new signing key. Its private part can only be read with the secret of the service. */
export interface NewKey {
  kid: string
  publicJwk: PublicJwk
  encryptedPrivateJwk: string
}

/** A signing key as it is stored. */
export interface StoredKey extends NewKey {
  state: KeyState
  createdAt: Date
  /** When it began to sign. Null for a spare key, and for a key of the first release. */
  signsSince: Date | null
  /** When it stopped signing. Of no meaning for a spare key. */
  retiredAt: Date | null
  /** When the last token that it may have signed expires. */
  verifiesUntil: Date | null
  /** True if a token that it has signed may still be valid, by Postgres' clock. */
  isVerifying: boolean
  /** For how many seconds it has been published, has signed, and has been retired, by Postgres' clock. */
  ageSeconds: number
  signsSeconds: number
  retiredSeconds: number
}

const secondsSince = (instant: unknown) =>
  sql<number>`coalesce(extract(epoch from clock_timestamp() - ${instant}), 0)::float8`

const columns = {
  kid: signingKeys.kid,
  state: signingKeys.state,
  publicJwk: signingKeys.publicJwk,
  encryptedPrivateJwk: signingKeys.encryptedPrivateJwk,
  createdAt: signingKeys.createdAt,
  signsSince: signingKeys.signsSince,
  retiredAt: signingKeys.retiredAt,
  verifiesUntil: signingKeys.verifiesUntil,
  isVerifying: sql<boolean>`case ${signingKeys.state}
    when 'retired' then ${signingKeys.verifiesUntil} > clock_timestamp()
    when 'compromised' then false else true end`,
  ageSeconds: secondsSince(signingKeys.createdAt),
  signsSeconds: secondsSince(sql`coalesce(${signingKeys.signsSince}, ${signingKeys.createdAt})`),
  retiredSeconds: secondsSince(signingKeys.retiredAt)
}

/** Returns all keys, oldest first. */
export async function listKeys (db: Drizzle): Promise<StoredKey[]> {
  return await db.select(columns).from(signingKeys).orderBy(asc(signingKeys.createdAt), asc(signingKeys.kid))
}

/** Returns all keys, and locks them, so that two changes of keys follow one another. */
export async function lockKeys (db: Drizzle): Promise<StoredKey[]> {
  // Later inserts and updates wait. Reads go on.
  await db.execute(sql`lock table ${signingKeys} in share row exclusive mode`)
  return await listKeys(db)
}

/** Adds a key that signs at once, unless there is one. */
export async function addActiveUnlessThere (db: Drizzle, key: NewKey): Promise<void> {
  await db.insert(signingKeys).values({ ...key, state: 'active', signsSince: clockTimestamp }).onConflictDoNothing()
}

/** Adds a spare key, unless there is one. Its age counts from now, and not from when the transaction began. */
export async function addSpareUnlessThere (db: Drizzle, key: NewKey): Promise<void> {
  await db.insert(signingKeys)
    .values({ ...key, state: 'spare', createdAt: clockTimestamp, retiredAt: new Date(0) })
    .onConflictDoNothing()
}

/** Lets a spare key sign from now on. The key that signed before must be retired. */
export async function activate (db: Drizzle, kid: string): Promise<void> {
  await db.update(signingKeys).set({ state: 'active', signsSince: clockTimestamp, retiredAt: null })
    .where(and(eq(signingKeys.kid, kid), eq(signingKeys.state, 'spare')))
}

/**
 * Retires a key. It verifies until the last token that it may have signed has expired.
 *
 * @param lifetimeSeconds of a token that a replica signs before it learns of this
 */
export async function retire (db: Drizzle, kid: string, lifetimeSeconds: number): Promise<void> {
  // Sessions know the tokens that were issued with a longer lifetime.
  const latest = sql`(select max(${sessions.accessExpiresAt}) from ${sessions})`
  const next = sql`clock_timestamp() + make_interval(secs => ${lifetimeSeconds}::float8)`
  await db.update(signingKeys).set({
    state: 'retired',
    retiredAt: clockTimestamp,
    verifiesUntil: sql`greatest(${latest}, ${next})`,
    encryptedPrivateJwk: ''
  }).where(eq(signingKeys.kid, kid))
}

/** Marks a key as compromised. It never verifies again. */
export async function markCompromised (db: Drizzle, kid: string): Promise<void> {
  await db.update(signingKeys).set({
    state: 'compromised',
    retiredAt: clockTimestamp,
    verifiesUntil: null,
    encryptedPrivateJwk: ''
  }).where(eq(signingKeys.kid, kid))
}

/** Deletes the private parts of keys that sign no more: the previous release kept them. */
export async function forgetRetired (db: Drizzle): Promise<void> {
  await db.update(signingKeys).set({ encryptedPrivateJwk: '' })
    .where(inArray(signingKeys.state, ['retired', 'compromised']))
}

/** Replaces a spare key that never signed: by its deletion, so that another can be added. */
export async function deleteSpare (db: Drizzle, kid: string): Promise<void> {
  await db.delete(signingKeys).where(and(eq(signingKeys.kid, kid), eq(signingKeys.state, 'spare')))
}
