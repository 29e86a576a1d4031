import { sql, type SQL } from 'drizzle-orm'
import t from 'tap'
import type { Database } from '../../src/db/database.ts'
import { signingKeys } from '../../src/db/tables.ts'
import { createKeyEncryption } from '../../src/keys/key-encryption.ts'
import { activate, listKeys, markCompromised, retire } from '../../src/keys/key-repository.ts'
import { databases, onEachDatabase, open } from './databases.ts'

/** Retires the key that signs, and lets the spare one sign. */
async function rotate (database: Database, change = (kid: string) => database.run(db => retire(db, kid, 60))) {
  const keys = await database.run(listKeys)
  const [active, spare] = ['active', 'spare'].map(state => keys.find(key => key.state === state)?.kid ?? '')
  await change(String(active))
  await database.run(db => activate(db, String(spare)))
  return { before: String(active), after: String(spare) }
}

t.test('the signing key is created once, and its private key is unreadable in the database', t => onEachDatabase(t, async (t, database) => {
  const [first, second] = [await open(database), await open(database)]
  const { kid } = await first.getSigningKey()
  t.equal((await second.getSigningKey()).kid, kid)
  t.match(first.find(kid), { pem: /^-----BEGIN PUBLIC KEY-----/, algorithm: 'EdDSA' })
  for (const unknown of [undefined, ['x'], 1]) t.equal(first.find(unknown), undefined)
  for (const unknown of ['another', '__proto__']) t.equal(first.findAny(unknown), undefined)

  const keys = await database.run(listKeys)
  t.same(keys.map(({ state }) => state).sort(), ['active', 'spare'])
  t.same(first.jwks.keys.map(key => key.kid).sort(), keys.map(key => key.kid).sort(), 'the spare one is published')
  for (const { encryptedPrivateJwk: text } of keys) {
    t.match(text, /^[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/)
    const header = JSON.parse(Buffer.from(String(text.split('.')[0]), 'base64url').toString())
    t.match(header, { alg: 'dir', enc: 'A256GCM' }, 'AES-256-GCM')
  }
  const row = JSON.stringify(await database.run(db => db.execute(sql`select * from signing_keys`)))
  t.notMatch(row, '"d"', 'no private member of a JWK')
  await database.run(db => db.delete(signingKeys).where(sql`state = 'spare'`))
  await t.rejects(open(database, { encryption: createKeyEncryption('another secret that is long enough') }), {
    name: 'StartupError',
    message: /^KEY_ENCRYPTION_SECRET /
  })
  t.equal((await database.run(listKeys)).length, 1, 'and it has added no key that the others cannot read')
}))

t.test('replicas that start at the same instant all have the same keys', t => onEachDatabase(t, async (t, database) => {
  const rings = await Promise.all(Array.from({ length: 10 }, () => open(database)))
  const signing = await Promise.all(rings.map(ring => ring.getSigningKey()))
  t.equal(new Set(signing.map(({ kid }) => kid)).size, 1)
  const rows = await database.run(db => db.select().from(signingKeys))
  t.equal(rows.length, 2, 'and there is no other')
}))

t.test('a ring follows a rotation: the next key signs, and the one before verifies', t => onEachDatabase(t, async (t, database) => {
  const ring = await open(database)
  const { before, after } = await rotate(database)
  t.equal((await ring.getSigningKey()).kid, after, 'at once')
  for (const kid of [before, after]) t.match(ring.find(kid), { algorithm: 'EdDSA' })
  t.same(ring.jwks.keys.map(({ kid }) => kid).sort(), [before, after].sort())
  const change = (what: SQL) =>
    database.run(db => db.execute(sql`update signing_keys set ${what} where kid = ${before}`))
  // Postgres rounds an instant to milliseconds, so the present one may be in the future.
  await change(sql`verifies_until = clock_timestamp() - interval '1 millisecond'`)
  await ring.reload()
  t.same(ring.jwks.keys.map(({ kid }) => kid), [after], 'until the last token that it has signed has expired')
  t.match(ring.findAny(before), { algorithm: 'EdDSA' }, 'and for logouts with an expired token')
  await change(sql`retired_at = retired_at - interval '1 hour'`)
  await ring.reload()
  t.equal(ring.findAny(before), undefined, 'as long as a session may live')
}))

t.test('a compromised key leaves the ring for good', t => onEachDatabase(t, async (t, database) => {
  const ring = await open(database)
  const { before } = await rotate(database, kid => database.run(db => markCompromised(db, kid)))
  await ring.reload()
  const gone = (await database.run(listKeys)).find(({ kid }) => kid === before)
  t.match(gone, { state: 'compromised', encryptedPrivateJwk: '' }, 'its private part is deleted')
  t.equal(ring.find(before), undefined, 'at once, without a question')
  t.equal(ring.findAny(before), undefined)
  t.notOk(ring.jwks.keys.some(({ kid }) => kid === before))
}))

t.test('an unknown key asks the database once a second, however many tokens come', async t => {
  const database = databases.Postgres
  await database.run(db => db.delete(signingKeys))
  let queries = 0
  let askedAt = 0
  const counting: Database = {
    ...database,
    run (query) {
      queries++
      askedAt = performance.now()
      return database.run(query)
    }
  }
  let now = 0
  const ring = await open(counting, { now: () => now })
  now += 1_000
  queries = 0
  const answers = Array.from({ length: 500 }, (_, index) => ring.find(`unknown-${index}`))
  t.same(new Set(await Promise.all(answers)), new Set([undefined]))
  t.equal(queries, 1)
  // A key that was added meanwhile is found by the next question.
  await rotate(database)
  const other = await open(database)
  const kid = String(other.jwks.keys.map(key => key.kid).find(kid => ring.findAny(kid) === undefined))
  now += 1_000
  t.match(await ring.find(kid), { algorithm: 'EdDSA' })
  t.equal(queries, 2)
  // Sooner than a second after the last question, by the clock of the ring.
  now += 700
  const before = performance.now()
  t.equal(await ring.find('unknown'), undefined)
  t.equal(queries, 3)
  t.ok(askedAt - before > 250, 'the question waits for the rest of the second')
})

t.test('a ring that could not be read for as long as an access token lives trusts nothing', async t => {
  const database = databases.Postgres
  let now = 0
  let isDown = false
  const failing: Database = {
    ...database, run: query => isDown ? Promise.reject(new Error('down')) : database.run(query)
  }
  const ring = await open(failing, { now: () => now })
  const { kid } = await ring.getSigningKey()
  isDown = true
  t.equal(ring.jwksMaxAgeSeconds, 300)
  now += 60_000
  t.match(ring.find(kid), { algorithm: 'EdDSA' })
  t.equal(ring.jwksMaxAgeSeconds, 240, 'caches must ask again before a key that they do not know signs')
  await t.rejects(ring.getSigningKey(), 'a key that was replaced must not sign')
  now += 1
  await t.rejects(Promise.resolve(ring.find(kid)), { code: 'key_unavailable' })
  isDown = false
  t.match(await ring.find(kid), { algorithm: 'EdDSA' }, 'it is read again at once')
  t.match(ring.find(kid), { algorithm: 'EdDSA' })
})

t.test('keys of another algorithm sign after a rotation', async t => {
  const database = databases.Postgres
  for (const algorithm of ['ES256', 'RS256', 'EdDSA'] as const) {
    const ring = await open(database, { algorithm })
    await rotate(database)
    await ring.reload()
    t.equal((await ring.getSigningKey()).algorithm, algorithm)
    await open(database, { algorithm })
  }
})
