import { createPublicKey, randomUUID, type KeyObject } from 'node:crypto'
import { exportJWK } from 'jose'
import t from 'tap'
import type { ClientJwk } from '../../src/clients/client-keys.ts'
import { build, issuer, serversEnv, shareStorages } from '../support/app.ts'
import { query } from '../support/database.ts'
import { makePrivateKey, strangerOf } from '../support/hostile-tokens.ts'
import { asAssertion, assertionForm, postForm, type AssertionClaims } from '../support/oauth.ts'
import { expectError } from '../support/requests.ts'
import { randomName } from '../support/services.ts'
import { forge, hs256, nowSeconds } from '../support/tokens.ts'

const onStorages = shareStorages(t)
type App = Parameters<Parameters<typeof onStorages>[1]>[1]
const algorithms = { EdDSA: 'EdDSA', ES256: 'ES256', RS256: 'RS256', PS256: 'RS256' } as const
const keys = new Map(Object.values(algorithms).map(algorithm => [algorithm, makePrivateKey(algorithm)]))
const keyOf = (alg: keyof typeof algorithms) => keys.get(algorithms[alg]) as KeyObject
const publicOf = async (key: KeyObject) => await exportJWK(createPublicKey(key)) as ClientJwk

/** Registers a client with these keys. */
async function addKeyClient (app: App, ...keys: KeyObject[]): Promise<string> {
  const id = `client-${randomName()}`
  await app.clientAdministration.create({ id, mayRevoke: false, keys: await Promise.all(keys.map(publicOf)) })
  return id
}

const ask = (app: App, form: object) => postForm(app, 'introspect', { token: 'x', ...form })

t.test('a client authenticates with an assertion of each algorithm (RFC 7523)', t => onStorages(t, async (t, app) => {
  const id = await addKeyClient(app, ...keys.values())
  for (const alg of Object.keys(algorithms) as Array<keyof typeof algorithms>) {
    for (const audience of [issuer, `${issuer}/oauth/token`]) {
      const form = await assertionForm(id, audience, keyOf(alg), alg)
      t.equal((await ask(app, form)).statusCode, 200, `${alg} for ${audience}`)
      const named = { client_id: id, ...await assertionForm(id, audience, keyOf(alg), alg) }
      t.equal((await ask(app, named)).statusCode, 200)
    }
  }
}))

t.test('an assertion is accepted once, by one replica', async t => {
  const env = await serversEnv(t)
  const replicas = [await build(t, env), await build(t, env)] as const
  const id = await addKeyClient(replicas[0], keyOf('EdDSA'))
  const jti = randomUUID()
  const forms = await Promise.all([0, 1, 2, 3].map(extra =>
    assertionForm(id, issuer, keyOf('EdDSA'), 'EdDSA', { jti, exp: nowSeconds() + 60 + extra })))
  const answers = await Promise.all(forms.map((form, index) => ask(replicas[index % 2] as App, form)))
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [200, 401, 401, 401])
  const other = await addKeyClient(replicas[0], keyOf('EdDSA'))
  const sameId = await assertionForm(other, issuer, keyOf('EdDSA'), 'EdDSA', { jti })
  t.equal((await ask(replicas[1], sameId)).statusCode, 200, 'the jti of another client is another one')
})

t.test('a wrong assertion gets invalid_client', t => onStorages(t, async (t, app) => {
  const key = keyOf('EdDSA')
  const id = await addKeyClient(app, key, keyOf('RS256'))
  const other = await addKeyClient(app, strangerOf('EdDSA'))
  const now = nowSeconds()
  const wrong: Record<string, AssertionClaims> = {
    'another audience': { aud: 'https://other.example.com' },
    'the address of another endpoint': { aud: `${issuer}/oauth/introspect` },
    'two audiences': { aud: [issuer, 'https://other.example.com'] },
    'no audience': { aud: null },
    'no exp': { exp: null },
    'exp in the past': { exp: now - 60 },
    'exp after more than an hour': { exp: now + 3_700 },
    'exp for ever': { exp: 1e300 },
    'exp as text': { exp: String(now + 60) },
    'nbf in the future': { nbf: now + 60 },
    'no jti': { jti: null },
    'an empty jti': { jti: '' },
    'a long jti': { jti: 'x'.repeat(256) },
    'a jti that is no text': { jti: 7 },
    'another issuer': { iss: other },
    'another subject': { sub: other },
    'no subject': { sub: null }
  }
  for (const [name, claims] of Object.entries(wrong)) {
    expectError(t, await ask(app, await assertionForm(id, issuer, key, 'EdDSA', claims)), 401, 'invalid_client', name)
  }
  const stranger = await assertionForm(id, issuer, strangerOf('EdDSA'), 'EdDSA')
  expectError(t, await ask(app, stranger), 401, 'invalid_client', 'the key of another client')
  const named = await assertionForm(id, issuer, key, 'EdDSA')
  expectError(t, await ask(app, { ...named, client_id: other }), 400, 'invalid_request', 'another client_id')
  expectError(t, await ask(app, { ...named, client_assertion_type: 'jwt' }), 401, 'invalid_client', 'another type')
}))

t.test('a forged assertion gets invalid_client', t => onStorages(t, async (t, app) => {
  const id = await addKeyClient(app, ...keys.values())
  const claims = { iss: id, sub: id, aud: issuer, jti: randomUUID(), exp: nowSeconds() + 60 }
  const pem = createPublicKey(keyOf('RS256')).export({ type: 'spki', format: 'pem' })
  const jwk = JSON.stringify(await publicOf(keyOf('EdDSA')))
  const forged: Record<string, string> = {
    'alg none': forge({ alg: 'none' }, claims, () => ''),
    'alg None': forge({ alg: 'None' }, claims, () => ''),
    'HS256 with the PEM of the public key': forge({ alg: 'HS256' }, claims, hs256(pem)),
    'HS256 with the JWK of the public key': forge({ alg: 'HS256' }, claims, hs256(jwk)),
    'an unknown crit': forge({ alg: 'EdDSA', crit: ['x'], x: 1 }, claims, () => 'AAAA'),
    'no signature': forge({ alg: 'EdDSA' }, claims, () => ''),
    'a header that is no object': forge('[]', claims, () => 'AAAA'),
    'claims that are no object': forge({ alg: 'EdDSA' }, '"x"', () => 'AAAA'),
    'a sub that is no text': forge({ alg: 'EdDSA' }, { ...claims, sub: { toString: 1 } }, () => 'AAAA'),
    'no JWT': 'x'.repeat(10_000)
  }
  for (const [name, text] of Object.entries(forged)) {
    expectError(t, await ask(app, asAssertion(text)), 401, 'invalid_client', name)
  }
}))

t.test('a client that has keys has no secret, and both keys of a rotation are accepted', t =>
  onStorages(t, async (t, app) => {
    const id = await addKeyClient(app, keyOf('EdDSA'))
    expectError(t, await ask(app, { client_id: id, client_secret: 'undefined' }), 401, 'invalid_client')
    await app.clientAdministration.rotate(id, [await publicOf(keyOf('ES256'))])
    const accepted = async (alg: 'EdDSA' | 'ES256') =>
      (await ask(app, await assertionForm(id, issuer, keyOf(alg), alg))).statusCode
    t.same([await accepted('EdDSA'), await accepted('ES256')], [200, 200])
    await app.clientAdministration.finishRotation(id)
    t.same([await accepted('EdDSA'), await accepted('ES256')], [401, 200])
  }))

t.test('used assertions are deleted once they have expired', t => onStorages(t, async (t, app) => {
  const id = await addKeyClient(app, keyOf('EdDSA'))
  t.equal((await ask(app, await assertionForm(id, issuer, keyOf('EdDSA'), 'EdDSA'))).statusCode, 200)
  const count = async () => (await query(app, 'select from client_assertions')).length
  await app.janitor.tidyUp()
  t.ok(await count() > 0, 'it may be sent again')
  await query(app, "update client_assertions set expires_at = expires_at - interval '1 hour'")
  await app.janitor.tidyUp()
  t.equal(await count(), 0)
}))
