import type { FastifyInstance } from 'fastify'
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { build, issuer, onEachStorage, serversEnv } from '../support/app.ts'
import { breakBlocklist, entriesInRedis } from '../support/blocklist.ts'
import { query } from '../support/database.ts'
import { letSpareAge } from '../support/keys.ts'
import { signIn, signUp, signUpAdmin, type Pair } from '../support/people.ts'
import { expectError, get, logOut, outcome, refresh, send } from '../support/requests.ts'
import { expire, isAccepted, refusals } from '../support/sessions.ts'
import { until } from '../support/wait.ts'

const good = { access: undefined, refresh: undefined }

interface ShownKey { kid: string, state: string }

const kidOf = ({ access_token: token }: Pick<Pair, 'access_token'>) => String(decodeProtectedHeader(token).kid)

/** Returns keys by their state. There must be one of each. */
function byState (keys: ShownKey[]): Record<string, string> {
  return Object.fromEntries(keys.map(({ state, kid }) => [state, kid]))
}

async function list (app: FastifyInstance, token: string): Promise<ShownKey[]> {
  return (await get(app, '/keys', token)).json().keys
}

async function published (app: FastifyInstance): Promise<string[]> {
  return (await get(app, '/.well-known/jwks.json')).json().keys.map(({ kid }: ShownKey) => kid).sort()
}

t.test('a rotation lets the spare key sign, and no token is refused', t => onEachStorage(t, async (t, app) => {
  const { token } = await signUpAdmin(app)
  const { username, pair } = await signUp(app)
  const before = byState(await list(app, token))
  t.equal(kidOf(pair), before['active'])
  // As old as a cache that has read the keys before the next one was committed.
  for (const [seconds, waits] of [[0, 310], [302, 8]] as const) {
    await query(
      app, `update signing_keys set created_at = clock_timestamp() - interval '${seconds} s' where state = 'spare'`
    )
    const early = await send(app, 'POST /keys/rotate', { token })
    await expectError(t, early, 409, 'key_not_ready')
    t.ok(Number(early.headers['retry-after']) <= waits, 'until every cache has the next key')
  }
  t.same(byState(await list(app, token)), before)

  await letSpareAge(app)
  const answer = await send(app, 'POST /keys/rotate', { token })
  t.equal(answer.statusCode, 200)
  const after = byState(answer.json().keys)
  t.match(after, { active: before['spare'], retired: before['active'] })
  t.not(after['spare'], before['spare'], 'a new spare key is published')
  t.same(await published(app), Object.values(after).sort())
  t.same(await refusals(app, pair), good)
  const next = await signIn(app, username)
  t.equal(kidOf(next), before['spare'])
  t.ok(await isAccepted(app, next))
  t.match(await query(app, "select details from security_events where type = 'key_rotated'"), [
    { details: { kid: before['spare'], retired: before['active'], by: 'admin' } }
  ])
}))

t.test('a compromised key is refused at once on every replica, and clients refresh (P1)', async t => {
  const env = await serversEnv(t)
  const [app, replica] = [await build(t, env), await build(t, env)]
  const { token, pair: admin } = await signUpAdmin(app)
  const { pair } = await signUp(app)
  t.ok(await isAccepted(replica, pair), 'the replica remembers the token')
  const { active: kid, spare } = byState(await list(app, token))
  const unknown = await send(app, 'POST /keys/unknown/retire', { token, body: { compromised: true } })
  await expectError(t, unknown, 404, 'not_found')
  const answer = await send(app, `POST /keys/${kid}/retire`, { token, body: { compromised: true } })
  t.equal(answer.statusCode, 200)
  t.match(byState(answer.json().keys), { active: spare, compromised: kid })
  for (const out of [pair, admin]) {
    for (const each of [replica, app]) t.notOk(await isAccepted(each, out))
  }
  const next = (await refresh(replica, pair.refresh_token)).json() as Pair
  t.equal(kidOf(next), spare)
  t.ok(await isAccepted(app, next), 'who was signed in refreshes')
  t.ok((await entriesInRedis(env)).has(`kid:${kid}`))
  t.notOk((await published(app)).includes(String(kid)))

  const second = (await refresh(app, admin.refresh_token)).json() as Pair
  t.equal((await send(app, `POST /keys/${kid}/retire`, {
    token: second.access_token, body: { compromised: true }
  })).statusCode, 200, 'repeating it is safe')
  t.match(await query(app, "select details from security_events where type = 'key_retired'"), [
    { details: { kid, reason: 'compromised', by: 'admin' } }
  ])
})

t.test('a compromised key is recorded while Redis is down, and takes effect when it is back (P2, P4)', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { token } = await signUpAdmin(app)
  const { pair } = await signUp(app)
  const { active: kid } = byState(await list(app, token))
  const mend = breakBlocklist(app)
  const answer = await send(app, `POST /keys/${kid}/retire`, { token, body: { compromised: true } })
  await expectError(t, answer, 503, 'revocation_unavailable')
  await expectError(t, await logOut(app, pair.access_token), 401, 'invalid_token')
  mend()
  await until('it is in Redis', async () => (await entriesInRedis(env)).has(`kid:${kid}`))
  t.notOk(await isAccepted(app, pair))
  t.same(await query(app, 'select scope, id from revocations'), [{ scope: 'key', id: kid }])
})

t.test('a key is retired as planned', t => onEachStorage(t, async (t, app) => {
  const { token } = await signUpAdmin(app)
  const { pair } = await signUp(app)
  const before = byState(await list(app, token))
  const retire = (kid: string | undefined) => send(app, `POST /keys/${kid}/retire`, { token, body: {} })
  await expectError(t, await retire(before['active']), 409, 'key_not_ready')
  const replaced = byState((await retire(before['spare'])).json().keys)
  t.equal(replaced['active'], before['active'])
  t.not(replaced['spare'], before['spare'])
  await letSpareAge(app)
  const after = byState((await retire(before['active'])).json().keys)
  t.match(after, { active: replaced['spare'], retired: before['active'] })
  t.same(byState((await retire(before['active'])).json().keys), after, 'repeating it is safe')
  t.ok(await isAccepted(app, pair))

  // As if all its tokens had expired. It still ends sessions.
  const expired = await expireWith(t, app, pair)
  t.equal((await logOut(app, expired)).statusCode, 200)
}))

/** Returns an expired token of the session of a pair, signed before another rotation, whose key verifies no more. */
async function expireWith (t: Test, app: FastifyInstance, pair: Pair): Promise<string> {
  const expired = await expire(app, pair)
  await letSpareAge(app)
  await app.keyAdministration.rotate({})
  const past = "clock_timestamp() - interval '1 second'"
  await query(app, `update signing_keys set verifies_until = ${past} where state = 'retired'`)
  await app.keyRing.reload()
  t.notOk((await published(app)).includes(kidOf({ access_token: expired })))
  return expired
}

t.test('retired keys are kept while a session may have their tokens, and compromised ones for ever (P2)', t => onEachStorage(t, async (t, app) => {
  await letSpareAge(app)
  const { retired = '', active: compromised = '' } = byState(await app.keyAdministration.rotate({}))
  await app.keyAdministration.retire(compromised, true, {})
  await app.revocationRequests.revoke({ everyone: true, reason: 'a test' }, {})
  const kept = async () => (await app.keyAdministration.list()).map(({ kid }) => kid)
  for (const [days, isKept] of [[29, true], [2, false]] as const) {
    await query(app, `update signing_keys set retired_at = retired_at - interval '${days} days',
      verifies_until = verifies_until - interval '${days} days' where state in ('retired', 'compromised')`)
    await query(app, `update revocations set created_at = created_at - interval '${days} days'`)
    await app.janitor.tidyUp()
    t.equal((await kept()).includes(retired), isKept)
  }
  t.ok((await kept()).includes(compromised))
  t.same(await query(app, 'select scope from revocations order by position'), [{ scope: 'key' }, { scope: 'everyone' }])
}))

t.test('a replica that has not read the keys for the lifetime of a token trusts none, not even one it knows', async t => {
  // The leeway leaves time in which the token is not refused for its age.
  const app = await build(t, { ...await serversEnv(t), ACCESS_TOKEN_TTL: '1', CLOCK_LEEWAY: '60' })
  const { pair } = await signUp(app)
  t.ok(await isAccepted(app, pair))
  const { run } = app.database
  app.database.run = () => Promise.reject(new Error('down'))
  await until('no token is trusted', async () =>
    outcome(await get(app, '/token', pair.access_token)) === '503 key_unavailable')
  app.database.run = run
  t.ok(await isAccepted(app, pair), 'the keys are read again at once')
})

t.test('only administrators see and change keys', async t => {
  const app = await build(t, await serversEnv(t))
  const { token } = await signUp(app)
  for (const route of ['GET /keys', 'POST /keys/rotate', 'POST /keys/x/retire'] as const) {
    const body = route.endsWith('retire') ? { body: {} } : {}
    await expectError(t, await send(app, route, { token, ...body }), 403, 'forbidden')
    await expectError(t, await send(app, route, body), 401, 'authorization_required')
  }
})

t.test('a key is replaced after KEY_ROTATION_INTERVAL, once, by whichever replica comes first', async t => {
  const env = await serversEnv(t)
  const apps = [await build(t, env), await build(t, env)] as const
  const { token } = await signUpAdmin(apps[0])
  const before = byState(await list(apps[0], token))
  const rotate = () => Promise.all(apps.map(app => app.keyAdministration.rotateAfter(3_600)))
  t.same(await rotate(), [false, false])
  await letSpareAge(apps[0])
  await query(apps[0], "update signing_keys set signs_since = signs_since - interval '1 hour'")
  t.same((await rotate()).sort(), [false, true])
  t.match(byState(await list(apps[0], token)), { active: before['spare'], retired: before['active'] })

  const rotating = await build(t, { ...env, KEY_ROTATION_INTERVAL: '1' })
  await letSpareAge(rotating)
  await query(rotating, "update signing_keys set signs_since = signs_since - interval '1 hour' where state = 'active'")
  await until('the key has been rotated', async () => (await list(rotating, token)).length === 4)
})

for (const algorithm of ['ES256', 'RS256'] as const) {
  t.test(`tokens of ${algorithm} are verified by the service and by the JWK Set`, async t => {
    const app = await build(t, { ...await serversEnv(t), SIGNING_ALGORITHM: algorithm })
    const { token, id, pair } = await signUp(app)
    t.match(decodeProtectedHeader(token), { alg: algorithm, typ: 'at+jwt' })
    const jwks = createLocalJWKSet((await get(app, '/.well-known/jwks.json')).json())
    const { payload } = await jwtVerify(token, jwks, { issuer, audience: issuer, algorithms: [algorithm] })
    t.equal(payload.sub, id)
    for (let use = 0; use < 2; use++) t.ok(await isAccepted(app, pair))
    t.equal((await logOut(app, token)).statusCode, 200)
    t.notOk(await isAccepted(app, pair))
  })
}

t.test('the JWK Set can be cached, and says so honestly', async t => {
  const app = await build(t, { ...await serversEnv(t), JWKS_MAX_AGE: '60' })
  const first = await get(app, '/.well-known/jwks.json')
  t.match(first.headers['cache-control'], /^public, max-age=(60|5\d)$/)
  const { etag } = first.headers
  t.match(etag, /^"[\w-]{22}"$/)
  const ask = (tag: string) => send(app, 'GET /.well-known/jwks.json', { headers: { 'if-none-match': tag } })
  for (const tag of [String(etag), `W/${etag}`, `"x", ${etag}`, '*']) {
    const again = await ask(tag)
    t.same([again.statusCode, again.body, again.headers['etag']], [304, '', etag], tag)
    t.match(again.headers['cache-control'], /^public, max-age=\d+$/)
  }
  await letSpareAge(app)
  await app.keyAdministration.rotate({})
  const changed = await ask(String(etag))
  t.equal(changed.statusCode, 200)
  t.not(changed.headers['etag'], etag)
})
