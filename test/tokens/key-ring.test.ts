import { sql } from 'drizzle-orm'
import t, { type Test } from 'tap'
import type { Database } from '../../src/db/database.ts'
import { openEmbedded } from '../../src/db/embedded/embedded.ts'
import { openPostgres } from '../../src/db/postgres/postgres.ts'
import { signingKeys } from '../../src/db/tables.ts'
import { createKeyEncryption } from '../../src/tokens/key-encryption.ts'
import { createKeyRepository } from '../../src/tokens/key-repository.ts'
import { openKeyRing } from '../../src/tokens/key-ring.ts'
import { embeddedEnv, secret } from '../support/app.ts'
import { databaseOfTest } from '../support/services.ts'
import { copyPostgresTemplate } from '../support/templates.ts'

const databases: Record<string, Database> = {
  embedded: await openEmbedded((await embeddedEnv(t))['DATA_DIR']),
  Postgres: await openPostgres({ url: await databaseOfTest(t, copyPostgresTemplate), deadlineMs: 2_000 })
}
t.teardown(() => Promise.all(Object.values(databases).map(database => database.close())))

/** Runs a test on each database, with no signing key in it. */
async function onEachDatabase (t: Test, test: (t: Test, database: Database) => Promise<void>): Promise<void> {
  for (const [name, database] of Object.entries(databases)) {
    await t.test(name, async t => {
      await database.run(db => db.delete(signingKeys))
      await test(t, database)
    })
  }
}

t.test('the signing key is created once, and its private key is unreadable in the database', t => onEachDatabase(t, async (t, database) => {
  const keys = createKeyRepository(database)
  t.equal(await keys.findActive(), undefined)
  const first = await openKeyRing(keys, createKeyEncryption(secret))
  const second = await openKeyRing(keys, createKeyEncryption(secret))
  t.equal(second.signingKey.kid, first.signingKey.kid)
  t.match(first.publicKeyPem(first.signingKey.kid), /^-----BEGIN PUBLIC KEY-----/)
  for (const kid of ['another', undefined, '__proto__', ['x']]) t.equal(first.publicKeyPem(kid), undefined)

  const stored = await keys.findActive()
  t.match(stored, { kid: first.signingKey.kid, encryptedPrivateJwk: /^[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/ })
  t.match(
    JSON.parse(Buffer.from(String(stored?.encryptedPrivateJwk.split('.')[0]), 'base64url').toString()),
    { alg: 'dir', enc: 'A256GCM' },
    'AES-256-GCM'
  )
  const row = JSON.stringify(await database.run(db => db.execute(sql`select * from signing_keys`)))
  t.notMatch(row, '"d"', 'no private member of a JWK')
  await t.rejects(openKeyRing(keys, createKeyEncryption('another secret that is long enough')), {
    name: 'StartupError',
    message: /^KEY_ENCRYPTION_SECRET /
  })
}))

t.test('replicas that start at the same instant all have the same signing key', t => onEachDatabase(t, async (t, database) => {
  const rings = await Promise.all(
    Array.from({ length: 10 }, () => openKeyRing(createKeyRepository(database), createKeyEncryption(secret)))
  )
  t.equal(new Set(rings.map(ring => ring.signingKey.kid)).size, 1)
  const rows = await database.run(db => db.select().from(signingKeys))
  t.equal(rows.length, 1, 'and there is no other')
}))

t.test('an encrypted key can be decrypted only with its kid and its secret', async t => {
  const encryption = createKeyEncryption(secret)
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: 'x', d: 'd' }
  const encrypted = await encryption.encrypt('one', jwk)
  t.same(await encryption.decrypt('one', encrypted), jwk)
  await t.rejects(encryption.decrypt('two', encrypted), 'moved to another row')
  await t.rejects(createKeyEncryption(`${secret}.`).decrypt('one', encrypted))
  const [header, , iv, text, tag] = encrypted.split('.')
  await t.rejects(encryption.decrypt('one', [header, '', iv, `A${String(text).slice(1)}`, tag].join('.')), 'changed')
})
