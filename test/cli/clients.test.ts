import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createPublicKey } from 'node:crypto'
import { exportJWK } from 'jose'
import t, { type Test } from 'tap'
import { build, scratchFolder, serversEnv, type Env } from '../support/app.ts'
import { fail, succeed } from '../support/cli.ts'
import { query } from '../support/database.ts'
import { makePrivateKey } from '../support/hostile-tokens.ts'
import { assertionForm, basic, postForm } from '../support/oauth.ts'

const clients = (t: Test, env: Env) => ({
  say: (...args: string[]) => succeed(t, ['client', ...args], { env }),
  json: async (...args: string[]) =>
    JSON.parse(await succeed(t, ['client', ...args, '--json'], { env })) as Record<string, unknown>,
  refuse: (...args: string[]) => fail(t, 1, ['client', ...args], { env })
})

t.test('clients are created, listed, rotated and deleted by command while the service runs', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { say, json, refuse } = clients(t, env)
  const ask = async (secret: unknown) =>
    (await postForm(app, 'introspect', { token: 'x' }, { headers: basic('billing', String(secret)) })).statusCode
  const created = await say('create', 'billing', '--may-revoke')
  const first = /^Created the client billing\.\nclient_secret: ([\w-]{43})\nStore it now\. .*\n$/.exec(created)?.[1]
  t.equal(await ask(first), 200)
  t.equal(await refuse('create', 'billing'), 'There is a client billing already: signout client list shows it.')
  const { client_secret: second, ...shown } = await json('rotate', 'billing')
  t.match(shown, { client_id: 'billing', may_revoke: true, credentials: [{ type: 'secret' }, { type: 'secret' }] })
  t.same([await ask(first), await ask(second)], [200, 200])
  t.match(await say('list'), /^CLIENT .*\nbilling +yes +secret, secret +20.*\n$/)
  t.equal(await say('rotate', 'billing', '--finish'), 'billing has one credential, the newest.\n')
  t.same([await ask(first), await ask(second)], [401, 200])
  t.equal(await say('delete', 'billing', '--yes'), 'The client billing is deleted, and refused from now on.\n')
  t.equal(await ask(second), 401)
  for (const args of [['rotate', 'billing'], ['rotate', 'billing', '--finish'], ['delete', 'billing', '--yes']]) {
    t.equal(await refuse(...args), 'There is no client billing: signout client list shows them.')
  }
  t.same(await json('list'), [])
  const events = await query(app, "select type, details from security_events where type like 'client%' order by 1")
  t.match(events.find(({ type }) => type === 'client_created')?.['details'], { client: 'billing', by: 'operator' })
  t.same([...new Set(events.map(({ type }) => type))], [
    'client_authentication_failed', 'client_created', 'client_deleted', 'client_rotated'
  ])
})

t.test('a client is created with a public key, and a private key is refused', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { json, refuse } = clients(t, env)
  const folder = scratchFolder(t)
  const write = (name: string, value: unknown) => {
    const path = join(folder, name)
    writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value))
    return path
  }
  const [key, next] = [makePrivateKey('ES256'), makePrivateKey('EdDSA')]
  const jwk = await exportJWK(createPublicKey(key))
  const made = await json('create', 'api', '--jwk', write('key.json', { keys: [{ ...jwk, kid: 'a', use: 'sig' }] }))
  t.match(made, { client_id: 'api', may_revoke: false, credentials: [{ type: 'keys', keys: [{ ...jwk, kid: 'a' }] }] })
  t.notOk('client_secret' in made)
  await json('rotate', 'api', '--jwk', write('next.json', await exportJWK(createPublicKey(next))))
  const ask = async (form: Record<string, string>) =>
    (await postForm(app, 'introspect', { token: 'x', ...form })).statusCode
  t.equal(await ask(await assertionForm('api', String(env['ISSUER']), key, 'ES256', {}, 'a')), 200)
  t.equal(await ask(await assertionForm('api', String(env['ISSUER']), next, 'EdDSA', {}, 'other')), 200)
  t.equal(await ask(await assertionForm('api', String(env['ISSUER']), key, 'ES256', {}, 'b')), 401, 'another kid')
  const small = { kty: 'RSA', e: 'AQAB', n: 'x'.repeat(171) }
  for (const [file, line] of [
    [write('a', await exportJWK(key)), /^The file holds a private key\. Give the public key alone, /],
    [write('b', '{'), 'The file is not JSON. It must hold a JWK or a JWK Set.'],
    [write('c', 'null'), 'The file must hold a JWK or a JWK Set.'],
    [write('d', { keys: [] }), 'A JWK Set must have 1 to 5 keys.'],
    [write('e', { kty: 'oct', k: 'eA' }), /^The file holds a private key\./],
    [write('f', { ...jwk, alg: 'HS256' }), /^A key must be of RSA, P-256 or Ed25519, for one of /],
    [write('g', small), 'A key of RSA must have 2048 bits or more.'],
    [write('h', { ...jwk, x: 'AAAA' }), 'A key of the file is malformed.'],
    [join(folder, 'none'), /^--jwk: .* cannot be read \(ENOENT\)\.$/]
  ] as const) {
    t.match(await refuse('create', 'other', '--jwk', file), line)
  }
})

t.test('the id of a client is checked', async t => {
  const { refuse } = clients(t, await serversEnv(t))
  t.equal(await refuse('create', 'signout'), 'signout is the built-in client. Choose another id.')
  for (const id of ['a b', '.a', 'é', 'a:b', 'x'.repeat(101)]) {
    t.match(await refuse('create', id), /^The id of a client has 1 to 100 letters, digits or characters of "\._~-"/)
  }
})
