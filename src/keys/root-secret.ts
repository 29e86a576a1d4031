import { randomBytes } from 'node:crypto'
import { eq } from 'drizzle-orm'
import type { Database, Drizzle } from '../db/database.ts'
import { rootSecrets, signingKeys } from '../db/tables.ts'
import type { KeyEncryption, NamedJwk } from './key-encryption.ts'
import { forgetRetired, listKeys, lockKeys, type NewKey, type StoredKey } from './key-repository.ts'
import type { MadeKey } from './new-key.ts'

/** The name to which the encrypted root secret is bound. No `kid` is that short. */
const rootName = 'root'

/**
 * Reads the root secret, from which all other secrets of the service are derived. It stays the same for as long as the
 * database lives, so KEY_ENCRYPTION_SECRET can be changed: that only encrypts the root secret and the signing keys.
 *
 * Makes a root secret if there is none. In a database that has keys already it is the secret that opens them, because
 * replicas of the release before derive from that. While the secret is changed, it also adds the copies under the
 * present one. Rejects with a `StartupError` if a key cannot be opened, and then has changed nothing.
 *
 * @returns at least 32 bytes
 */
export async function openRootSecret (database: Database, encryption: KeyEncryption): Promise<Uint8Array> {
  const root = await database.run(db => addCopies(db, encryption, listKeys)) ??
    await database.transaction(db => addCopies(db, encryption, lockKeys))
  if (root === undefined) throw new Error('The root secret was not made.')
  const { k } = await encryption.decrypt(root)
  return Buffer.from(String(k), 'base64url')
}

/**
 * Returns the root secret. Adds the copies that are missing if `list` locks the keys. Otherwise it returns undefined if
 * some are missing, so that a start without a change waits for no lock.
 */
async function addCopies (
  db: Drizzle, encryption: KeyEncryption, list: typeof lockKeys | typeof listKeys
): Promise<NamedJwk | undefined> {
  const keys = (await list(db)).filter(isInUse)
  const mayWrite = list === lockKeys
  const root = await findRoot(db) ?? (mayWrite ? await insertRoot(db, encryption, keys) : undefined)
  if (root === undefined) return undefined
  for (const stored of [root, ...keys.map(toNamed)]) {
    const encrypted = await encryption.addCopy(stored)
    if (encrypted === stored.encrypted) continue
    if (!mayWrite) return undefined
    await store(db, { ...stored, encrypted })
  }
  return root
}

async function insertRoot (db: Drizzle, encryption: KeyEncryption, keys: readonly StoredKey[]): Promise<NamedJwk> {
  const active = keys.find(({ state }) => state === 'active')
  const secret = active === undefined ? randomBytes(32) : Buffer.from(await encryption.findSecret(toNamed(active)))
  const jwk = { kty: 'oct', k: secret.toString('base64url') }
  const encrypted = active === undefined
    ? await encryption.encrypt(rootName, jwk)
    : await encryption.encryptLike(toNamed(active), rootName, jwk)
  await db.insert(rootSecrets).values({ encrypted })
  return { name: rootName, encrypted }
}

/** Encrypts a new key so that every replica that reads the root secret can read it. The keys must be locked. */
export async function encryptNewKey (db: Drizzle, encryption: KeyEncryption, made: MadeKey): Promise<NewKey> {
  const { kid, publicJwk, privateJwk } = made
  return { kid, publicJwk, encryptedPrivateJwk: await encryption.encryptLike(await requireRoot(db), kid, privateJwk) }
}

/**
 * Ends a change of the secret: encrypts everything under the present secret alone, and deletes the private parts of
 * keys that sign no more. Call it in a transaction, with the keys locked.
 */
export async function reencryptAll (db: Drizzle, encryption: KeyEncryption, keys: readonly StoredKey[]): Promise<void> {
  await forgetRetired(db)
  for (const stored of [await requireRoot(db), ...keys.filter(isInUse).map(toNamed)]) {
    const encrypted = await encryption.encrypt(stored.name, await encryption.decrypt(stored))
    await store(db, { name: stored.name, encrypted })
  }
}

/** True for a key that signs, or will. The others need no private part. */
const isInUse = ({ state }: StoredKey) => state === 'active' || state === 'spare'

const toNamed = ({ kid, encryptedPrivateJwk }: StoredKey): NamedJwk => ({ name: kid, encrypted: encryptedPrivateJwk })

async function findRoot (db: Drizzle): Promise<NamedJwk | undefined> {
  const [row] = await db.select({ encrypted: rootSecrets.encrypted }).from(rootSecrets).limit(1)
  return row && { name: rootName, encrypted: row.encrypted }
}

async function requireRoot (db: Drizzle): Promise<NamedJwk> {
  const root = await findRoot(db)
  if (root === undefined) throw new Error('The database has no root secret.')
  return root
}

async function store (db: Drizzle, { name, encrypted }: NamedJwk): Promise<void> {
  if (name === rootName) await db.update(rootSecrets).set({ encrypted })
  else await db.update(signingKeys).set({ encryptedPrivateJwk: encrypted }).where(eq(signingKeys.kid, name))
}
