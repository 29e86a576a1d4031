import { eq } from 'drizzle-orm'
import t from 'tap'
import type { Database } from '../../src/db/database.ts'
import { rootSecrets, signingKeys } from '../../src/db/tables.ts'
import { createKeyEncryption } from '../../src/keys/key-encryption.ts'
import {
  activate, addSpareUnlessThere, deleteSpare, listKeys, lockKeys, retire
} from '../../src/keys/key-repository.ts'
import { makeKey } from '../../src/keys/new-key.ts'
import { encryptNewKey, openRootSecret, reencryptAll } from '../../src/keys/root-secret.ts'
import { secret } from '../support/app.ts'
import { onEachDatabase, open } from './databases.ts'

const [one, two] = ['one', 'two'].map(name => `${secret}, ${name}`) as [string, string]
const before = createKeyEncryption(one)
const changing = createKeyEncryption(two, one)
const after = createKeyEncryption(two)
const wrongSecret = { name: 'StartupError', message: /^KEY_ENCRYPTION_SECRET does not open / }

/** Adds a new spare key as a replica does. */
async function replaceSpare (database: Database, encryption = before): Promise<void> {
  const made = await makeKey('EdDSA')
  await database.transaction(async db => {
    const spare = (await lockKeys(db)).find(({ state }) => state === 'spare')
    await deleteSpare(db, String(spare?.kid))
    await addSpareUnlessThere(db, await encryptNewKey(db, encryption, made))
  })
}

async function rotate (database: Database, encryption = before): Promise<void> {
  const keys = await database.run(listKeys)
  const kidOf = (wanted: string) => String(keys.find(({ state }) => state === wanted)?.kid)
  await database.run(db => retire(db, kidOf('active'), 60))
  await database.run(db => activate(db, kidOf('spare')))
  await replaceSpare(database, encryption)
}

const reencrypt = (database: Database, encryption = changing) =>
  database.transaction(async db => { await reencryptAll(db, encryption, await lockKeys(db)) })

t.test('a new database gets a random root secret, and replicas that start together the same one', t => onEachDatabase(t, async (t, database) => {
  const roots = await Promise.all(Array.from({ length: 10 }, () => openRootSecret(database, before)))
  for (const root of roots) t.same(root, roots[0])
  t.equal(roots[0]?.length, 32)
  t.notSame(Buffer.from(one), roots[0])
  await database.run(db => db.delete(rootSecrets))
  t.notSame(await openRootSecret(database, before), roots[0])
}))

t.test('in a database with keys the root is the secret that opens them, as before', t => onEachDatabase(t, async (t, database) => {
  await open(database, { encryption: before })
  for (const encryption of [before, changing]) {
    await database.run(db => db.delete(rootSecrets))
    t.same(await openRootSecret(database, encryption), Buffer.from(one))
  }
  t.same(await openRootSecret(database, after), Buffer.from(one), 'also when it is changed in the same step')
  await database.run(db => db.delete(rootSecrets))
  await t.rejects(openRootSecret(database, createKeyEncryption(`${one}.`)), wrongSecret)
  t.equal((await database.run(db => db.select().from(rootSecrets).limit(2))).length, 0, 'and nothing is written')
}))

t.test('during a change both secrets work, and a start that would miss a key is refused', t => onEachDatabase(t, async (t, database) => {
  await open(database, { encryption: before })
  const root = await openRootSecret(database, before)
  await t.rejects(openRootSecret(database, after), wrongSecret)
  for (const encryption of [changing, before, after]) {
    t.same(await openRootSecret(database, encryption), root)
    t.ok(await (await open(database, { encryption })).getSigningKey())
  }
  await replaceSpare(database, before)
  await t.rejects(openRootSecret(database, after), wrongSecret, 'the spare key is under the secret before alone')
  t.same(await openRootSecret(database, changing), root)
  t.same(await openRootSecret(database, after), root, 'until one that has both was started')
  await rotate(database, changing)
  for (const encryption of [before, after]) t.ok(await (await open(database, { encryption })).getSigningKey())
}))

t.test('after the change only the new secret opens anything', t => onEachDatabase(t, async (t, database) => {
  const root = await openRootSecret(database, before)
  await open(database, { encryption: before })
  await rotate(database, before)
  const [old] = await database.run(listKeys)
  t.match(old, { state: 'retired', encryptedPrivateJwk: '' }, 'a retired key has no private part')
  const encryptedPrivateJwk = await before.encrypt(String(old?.kid), { kty: 'oct', k: 'private' })
  await database.run(db => db.update(signingKeys).set({ encryptedPrivateJwk }).where(eq(signingKeys.state, 'retired')))
  await openRootSecret(database, changing)
  await reencrypt(database)
  t.same(await openRootSecret(database, after), root)
  await t.rejects(openRootSecret(database, before), wrongSecret)
  for (const { kid: name, state, encryptedPrivateJwk: encrypted } of await database.run(listKeys)) {
    await t.rejects(before.decrypt({ name, encrypted }), wrongSecret)
    if (state === 'retired') t.equal(encrypted, '', 'also if the release before has left it')
    else t.ok(await after.decrypt({ name, encrypted }))
  }
  await rotate(database, changing)
  for (const { kid: name, encryptedPrivateJwk: encrypted } of await database.run(listKeys)) {
    await t.rejects(before.decrypt({ name, encrypted }), wrongSecret, 'also of keys that were made later')
  }
}))

t.test('a replica that kept the secret before verifies, and signs nothing after the next rotation', t => onEachDatabase(t, async (t, database) => {
  const late = await open(database, { encryption: before })
  await openRootSecret(database, changing)
  await reencrypt(database)
  await late.reload()
  t.ok(await late.getSigningKey(), 'it has the key in memory')
  await t.rejects(replaceSpare(database, before), wrongSecret, 'but adds none that the others cannot read')
  await rotate(database, after)
  await t.rejects(late.getSigningKey(), { code: 'service_unavailable', cause: wrongSecret })
  t.throws(() => { late.requireSigningKey() }, wrongSecret)
  const { kid } = (await database.run(listKeys)).find(({ state }) => state === 'active') ?? {}
  t.ok(await late.find(kid), 'it accepts tokens of the next key')
  t.ok(late.jwks.keys.some(key => key.kid === kid), 'and publishes it')
}))
