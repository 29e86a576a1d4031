import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import t, { type Test } from 'tap'
import { createMemoryBlocklist, type Blocklist, type Claims } from '../../../plugins/auth/auth.ts'
import { packageRoot } from '../../../src/package-root.ts'
import { get, send } from '../../support/requests.ts'
import { nowSeconds } from '../../support/tokens.ts'
import { bareApp, sign, type BareOptions } from './bare-app.ts'

const auth0 = 'https://a.eu.auth0.com/'
const entra = 'https://login.microsoftonline.com/t/v2.0'
const supabase = 'https://p.supabase.co/auth/v1'
const foreignIssuers = {
  [auth0]: {},
  [entra]: { tokenId: 'uti', subject: 'oid' },
  [supabase]: { sessionId: 'session_id', subject: (claims: Claims) => `user:${claims['sub']}` }
}

async function appOf (t: Test, options: BareOptions['options'] = { foreignIssuers }, blocklist?: Blocklist) {
  const bare = await bareApp(t, { options, ...blocklist && { blocklist } })
  bare.app.post('/logout', { onRequest: bare.app.authenticate }, async request => { await request.logout() })
  return { ...bare, logOut: async (token: string) => (await send(bare.app, 'POST /logout', { token })).statusCode }
}

const times = () => ({ iat: nowSeconds(), exp: nowSeconds() + 60 })

t.test('a token without an id is known by its claims, in any order of their keys', async t => {
  const { app, statusOf, logOut } = await appOf(t)
  const claims = { iss: auth0, sub: 'auth0|1', nested: { a: 1, b: [2, { c: 3, d: 4 }] }, ...times() }
  const { iat, exp } = claims
  const reordered = { nested: { b: [2, { d: 4, c: 3 }], a: 1 }, sub: 'auth0|1', exp, iss: auth0, iat }
  const others = [{ iat: iat - 1 }, { nested: { a: 1, b: [{ c: 3, d: 4 }, 2] } }, { sub: 'auth0|2' }]
  t.equal(await logOut(sign(claims)), 200)
  t.same([await statusOf(sign(claims)), await statusOf(sign(reordered))], [401, 401])
  for (const change of others) t.equal(await statusOf(sign({ ...claims, ...change })), 200)
  t.equal((await get(app, '/me', sign({ ...claims, iss: 'another' }))).json().code, 'invalid_token')
})

t.test('the ids of a token, of its session and of its user are read from other claims', async t => {
  const lasting = createMemoryBlocklist({ leewaySeconds: 0, deadlineMs: 5_000, maxTokenLifetimeSeconds: 120 })
  const { app, statusOf, logOut } = await appOf(t, { foreignIssuers }, lasting)
  const ofEntra = { iss: entra, uti: 'u1', sub: 'pairwise', oid: 'o1', ...times() }
  t.equal(await logOut(sign(ofEntra)), 200)
  const changes = [{}, { sub: 'b' }, { uti: 'u2' }]
  t.same(await Promise.all(changes.map(change => statusOf(sign({ ...ofEntra, ...change })))), [401, 401, 200])
  const ofSupabase = { iss: supabase, session_id: 's1', sub: 'u', ...times() }
  t.equal(await logOut(sign(ofSupabase)), 200)
  t.equal(await statusOf(sign({ ...ofSupabase, exp: ofSupabase.exp + 1 })), 401, 'the session')
  t.equal(await statusOf(sign({ ...ofSupabase, session_id: 's2' })), 200)
  await app.revokeSession('s2', nowSeconds() + 60)
  t.equal(await statusOf(sign({ ...ofSupabase, session_id: 's2' })), 200, 'a session of another issuer')
  await app.revokeSession('s2', nowSeconds() + 60, { issuer: supabase })
  t.equal(await statusOf(sign({ ...ofSupabase, session_id: 's2' })), 401)
  await app.revokeSubject('user:u', { issuer: supabase })
  t.equal(await statusOf(sign({ ...ofSupabase, session_id: 's3' })), 401)
  t.equal(await statusOf(sign({ jti: 'j', sub: 'user:u', ...times() })), 200)
})

t.test('two issuers with the same jti do not share an entry, and ids of no foreign issuer stay plain', async t => {
  const given: string[] = []
  const memory = createMemoryBlocklist({ leewaySeconds: 0 })
  const revoke: Blocklist['revoke'] = async list => {
    given.push(...list.map(({ id }) => id))
    await memory.revoke(list)
  }
  const byName = (issuer: string) => issuer.startsWith('https://other') ? {} : undefined
  const { app, statusOf, logOut } = await appOf(t, { foreignIssuers: byName }, { ...memory, revoke })
  const claims = { jti: 'same', sid: 'session', ...times() }
  const tokens = ['https://own', 'https://other/1', 'https://other/2'].map(iss => sign({ iss, ...claims }))
  for (const [index, token] of tokens.entries()) {
    t.equal(await logOut(token), 200)
    const expected = tokens.map((_token, at) => at <= index ? 401 : 200)
    t.same(await Promise.all(tokens.map(token => statusOf(token))), expected)
  }
  t.same(given.slice(0, 2), ['same', 'session'])
  t.equal(new Set(given).size, 6)
  const long = sign({ iss: 'https://other/1', ...claims, jti: 'x'.repeat(255), sid: 'y'.repeat(250) })
  t.equal(await logOut(long), 200, 'ids that are too long with a prefix')
  t.equal(await statusOf(long), 401)
  await app.revoke(await app.verifyToken(sign({ iss: 'https://other/1', ...times() })))
  const sub = 'ada'
  for (const [call, message] of [
    [() => app.revoke({ jti: 'same', ...times() }), /claims\.iss is undefined; it must be the issuer/],
    [() => app.revokeSession('s', times().exp, { issuer: 'https://unknown' }), /not one of foreignIssuers/],
    [() => app.revokeSubject(sub, { issuer: 'https://unknown' }), /not one of foreignIssuers/],
    [() => app.revokeSubject(sub, { iss: 'https://other/1' } as never), /The option iss is not known/]
  ] as const) await t.rejects(call, { name: 'TypeError', message })
  const part = { ...times(), iss: 'https://other/1' }
  await t.rejects(app.revoke(part as never), { name: 'TypeError', message: /hold no id.*request\.user/ })
})

t.test('an id of the wrong type is 401, and a wrong mapping is a TypeError', async t => {
  const { app, statusOf } = await appOf(t, { claimNames: { tokenId: 'tid', sessionId: () => 5 as never } })
  for (const tid of [5, '', null, ['a']]) t.equal(await statusOf(sign({ tid, ...times() })), 401, String(tid))
  t.equal(await statusOf(sign({ tid: 'a', ...times() })), 401, 'a function that returns a number')
  const failing = await appOf(t, { claimNames: { tokenId: ({ a }) => (a as { b: string }).b } })
  t.equal(await failing.statusOf(sign(times())), 401, 'a function that throws')
  const cause = await app.verifyToken(sign(times())).catch(error => error.cause)
  t.match(cause, { message: /The sessionId of the mapping must be a text/ })
  for (const [options, message] of [
    [{ claimNames: 'uti' }, /option claimNames is "uti"; it must be \{ tokenId/],
    [{ claimNames: { jti: 'uti' } }, /option claimNames\.jti is not known; it must be one of tokenId/],
    [{ claimNames: { tokenId: 5 } }, /option claimNames\.tokenId is 5; it must be the name of a claim/],
    [{ foreignIssuers: ['a'] }, /option foreignIssuers is a list; it must be mappings by issuer/],
    [{ foreignIssuers: { a: { sub: 'oid' } } }, /option foreignIssuers\["a"\]\.sub is not known/]
  ] as const) await t.rejects(bareApp(t, { options: options as never }), { name: 'TypeError', message })
})

t.test('the keys of an issuer come from its JWKS, by the recipe of docs/other-issuers.md', async t => {
  const { createJwksKeys } = await import('./jwks-recipe.ts')
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
  const keys = { keys: [{ ...await exportJWK(publicKey), kid: 'one', alg: 'RS256', use: 'sig' }] }
  let isDown = false
  const server = createServer((_request, response) => {
    isDown ? response.destroy() : response.end(JSON.stringify(keys))
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
  const issue = (kid: string) => new SignJWT({ iss: auth0, sub: 'a' })
    .setProtectedHeader({ alg: 'RS256', kid }).setIssuedAt().setExpirationTime('1m').sign(privateKey)
  const open = () => bareApp(t, {
    key: createJwksKeys(url),
    jwt: { decode: { complete: true } },
    verify: { algorithms: ['RS256'] },
    options: { foreignIssuers }
  })
  const { app, statusOf } = await open()
  const token = await issue('one')
  t.equal(await statusOf(token), 200)
  await app.revoke(await app.verifyToken(token))
  t.equal(await statusOf(token), 401)
  t.equal(await statusOf(await issue('unknown')), 401)
  isDown = true
  const { app: late } = await open()
  const answer = await get(late, '/me', await issue('one'))
  t.match([answer.statusCode, answer.json().code, answer.headers['retry-after']], [503, 'key_unavailable', '1'])
})

t.test('docs/other-issuers.md shows the recipe that is tested here', async t => {
  const recipe = readFileSync(join(packageRoot, 'test', 'plugins', 'auth', 'jwks-recipe.ts'), 'utf8')
  t.ok(readFileSync(join(packageRoot, 'docs', 'other-issuers.md'), 'utf8').includes(recipe))
})
