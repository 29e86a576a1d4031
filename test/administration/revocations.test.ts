import { decodeJwt, SignJWT } from 'jose'
import t, { type Test } from 'tap'
import { build, onEachStorage, serversEnv, issuer } from '../support/app.ts'
import { entriesInRedis, recordTrips } from '../support/blocklist.ts'
import { everyRow, query } from '../support/database.ts'
import { keepLog } from '../support/log.ts'
import { password, register, signIn, signUp, signUpAdmin, signUpWithSessions, type Pair } from '../support/people.ts'
import { expectError, refresh, send } from '../support/requests.ts'
import { claimsOf, ended, isAccepted, refusals, sessionIdOf } from '../support/sessions.ts'
import { ed25519, forge, goodClaims, nowSeconds, strangersKey } from '../support/tokens.ts'
import { entryKey } from '../../src/entries/revocation.ts'

const good = { access: undefined, refresh: undefined }

t.test('administrators revoke tokens, sessions and users with POST /revocations', t => onEachStorage(t, async (t, app) => {
  const { id: adminId, token: admin } = await signUpAdmin(app)
  const revoke = (payload: object, query = '') =>
    send(app, `POST /revocations${query}`, { token: admin, body: payload })
  const jtiOf = (pair: Pair) => claimsOf(pair).jti

  for (const what of ['token', 'jti'] as const) {
    await t.test(`POST /revocations with a ${what} revokes that access token alone`, async t => {
      const { pair } = await signUp(app)
      const next = (await refresh(app, pair.refresh_token)).json() as Pair
      const answer = await revoke({ [what]: what === 'token' ? pair.access_token : jtiOf(pair) })
      t.equal(answer.statusCode, 200)
      t.same(answer.json(), { dry_run: false, tokens: [jtiOf(pair)], sessions: [] })
      t.notOk(await isAccepted(app, pair))
      t.same(await refusals(app, next), good, 'the session goes on')
      t.match(
        await query(
          app,
          "select actor_id, host(ip) as ip, details from security_events where type = 'token_revoked' order by position desc limit 1"
        ),
        [{ actor_id: adminId, ip: '127.0.0.1', details: { jti: jtiOf(pair), by: 'admin' } }]
      )
    })
  }

  await t.test('POST /revocations accepts ids in upper and lower case', async t => {
    const { id, sessions } = await signUpWithSessions(app, 3)
    const [first, second, third] = sessions as [Pair, Pair, Pair]
    t.same((await revoke({ jti: jtiOf(first).toUpperCase() })).json().tokens, [jtiOf(first)])
    t.notOk(await isAccepted(app, first))
    t.same((await revoke({ sid: sessionIdOf(second).toUpperCase() })).json().sessions, [sessionIdOf(second)])
    t.same((await revoke({ subject: id.toUpperCase() })).json().sessions.sort(), [first, third].map(sessionIdOf).sort())
    t.same(await Promise.all([second, third].map(pair => refusals(app, pair))), [ended, ended])
  })

  await t.test('POST /revocations with a sid ends that session, and with a subject all sessions of the user', async t => {
    const { id, username, sessions } = await signUpWithSessions(app, 3)
    const [first, second, third] = sessions as [Pair, Pair, Pair]
    t.same((await revoke({ sid: sessionIdOf(second) })).json(), {
      dry_run: false, tokens: [], sessions: [sessionIdOf(second)]
    })
    t.same(await refusals(app, second), ended)
    t.same(await Promise.all([first, third].map(pair => isAccepted(app, pair))), [true, true])
    const answer = (await revoke({ subject: id })).json()
    t.same(answer.sessions.sort(), [first, third].map(sessionIdOf).sort(), 'not those that had ended before')
    t.same(await Promise.all([first, third].map(pair => refusals(app, pair))), [ended, ended])
    const newer = await signIn(app, username)
    t.ok(await isAccepted(app, newer), 'a login right after works')
    t.same((await revoke({ sid: sessionIdOf(first) })).json().sessions, [], 'and what has ended already is no error')
    t.same((await revoke({ subject: (await register(app)).id })).json(), {
      dry_run: false, tokens: [], sessions: []
    })
    const events = await query(
      app,
      `select session_id, actor_id, details from security_events where type = 'sessions_revoked' and user_id = '${id}' order by position`
    )
    t.same(events, [
      { session_id: sessionIdOf(second), actor_id: adminId, details: { by: 'admin', sessions: 1 } },
      { session_id: null, actor_id: adminId, details: { by: 'admin', sessions: 2 } },
      { session_id: sessionIdOf(first), actor_id: adminId, details: { by: 'admin', sessions: 0 } }
    ])
  })

  await t.test('POST /revocations as a dry run lists the tokens and sessions that would end, and ends nothing', async t => {
    const { id, sessions } = await signUpWithSessions(app, 2)
    const [first, second] = sessions as [Pair, Pair]
    const before = await query(app, 'select position from security_events')
    const preview = async (payload: object) => (await revoke(payload, '?dry_run=true')).json()
    t.same(await preview({ token: first.access_token }), { dry_run: true, tokens: [jtiOf(first)], sessions: [] })
    t.same(await preview({ jti: jtiOf(first) }), { dry_run: true, tokens: [jtiOf(first)], sessions: [] })
    t.same(await preview({ sid: sessionIdOf(first) }), { dry_run: true, tokens: [], sessions: [sessionIdOf(first)] })
    t.same((await preview({ subject: id })).sessions.sort(), sessions.map(sessionIdOf).sort())
    for (const payload of [{ sid: crypto.randomUUID() }, { subject: crypto.randomUUID() }]) {
      expectError(t, await revoke(payload, '?dry_run=true'), 404, 'not_found')
    }
    t.equal((await query(app, 'select position from security_events')).length, before.length)
    t.same(await Promise.all([first, second].map(pair => refusals(app, pair))), [good, good])
    t.equal((await revoke({ sid: sessionIdOf(first) }, '?dry_run=false')).json().dry_run, false)
    t.notOk(await isAccepted(app, first))
  })

  await t.test('POST /revocations takes exactly one of token, jti, sid and subject', async t => {
    const { pair } = await signUp(app)
    const { jti, sid, sub } = decodeJwt(pair.access_token)
    const wrong = [
      {}, { jti, sid }, { sid, subject: sub }, { token: pair.access_token, jti },
      { jti, sid, subject: sub, token: pair.access_token }, { user: sub }, { jti: '' }, { jti: 1 },
      { jti: [jti] }, { jti: null }, { jti: 'x'.repeat(256) }, { jti: 'a\u0000b' }, { jti: '\ud800' },
      { sid: 'x' }, { subject: 'x' }, { sid: `urn:uuid:${String(sid)}` }, { subject: `urn:uuid:${sub}` },
      { sid, expires_at: 1 }, { subject: sub, expires_at: 1 }, { token: pair.access_token, expires_at: -1 },
      { jti, expires_at: -1 }, { jti, expires_at: '1' }, { jti, expires_at: 1.5 }, { jti, expires_at: 1e15 },
      { jti, expires_at: { valueOf: 1 } }
    ]
    for (const payload of wrong) {
      expectError(t, await revoke(payload), 400, 'invalid_request', JSON.stringify(payload).slice(0, 80))
    }
    for (const query of [
      '?dry_run=x', '?dry_run=', '?dry_run=1', '?dry_run=TRUE', '?dry_run=%20true', '?dry_run=true&dry_run=true',
      '?dry=true'
    ]) {
      expectError(t, await revoke({ sid }, query), 400, 'invalid_request', query)
    }
    t.same(await refusals(app, pair), good)
  })

  await t.test('POST /revocations refuses a token that this service did not issue', async t => {
    const claims = goodClaims(issuer)
    const { kid, privateKey } = await app.keyRing.getSigningKey()
    const header = { alg: 'EdDSA', kid, typ: 'at+jwt' }
    const { pair } = await signUp(app)
    const elsewhere = await new SignJWT({ ...claims, iss: 'https://stranger.example' })
      .setProtectedHeader(header)
      .sign(privateKey)
    const forged = {
      "a stranger's key": forge(header, claims, ed25519(strangersKey)),
      'another issuer': elsewhere,
      unsigned: forge({ ...header, alg: 'none' }, claims, () => ''),
      'a refresh token': pair.refresh_token,
      text: 'x',
      'a changed payload': pair.access_token.replace(
        /\.[^.]+\./, `.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`
      )
    }
    for (const [name, token] of Object.entries(forged)) {
      expectError(t, await revoke({ token }), 400, 'invalid_request', name)
      expectError(t, await revoke({ token }, '?dry_run=true'), 400, 'invalid_request', name)
    }
  })

  await t.test('POST /revocations adds no entry for a token that has expired', async t => {
    const { kid, privateKey } = await app.keyRing.getSigningKey()
    const expired = await new SignJWT({ ...goodClaims(issuer), exp: nowSeconds() - 60 })
      .setProtectedHeader({ alg: 'EdDSA', kid, typ: 'at+jwt' })
      .sign(privateKey)
    const trips = await recordTrips(app, async () => { t.equal((await revoke({ token: expired })).statusCode, 200) })
    t.match(
      trips,
      [[{ id: decodeJwt(expired).jti, expiresAt: decodeJwt(expired).exp }]],
      'it is not said to live longer than it did'
    )
  })

  await t.test('POST /revocations is 404 for an unknown session or user', async t => {
    for (const payload of [{ sid: crypto.randomUUID() }, { subject: crypto.randomUUID() }]) {
      expectError(t, await revoke(payload), 404, 'not_found')
    }
  })
}))

t.test('a secret that is pasted instead of an id is refused, and not logged or stored', async t => {
  const log = keepLog()
  const env = await serversEnv(t)
  const app = await build(t, env, log.logger)
  const { token: admin } = await signUpAdmin(app)
  const { pair: { access_token: access, refresh_token: secret } } = await signUp(app)
  for (const pasted of [secret, access, password]) {
    for (const name of ['jti', 'sid', 'subject']) {
      for (const query of ['', '?dry_run=true']) {
        const answer = await send(app, `POST /revocations${query}`, { token: admin, body: { [name]: pasted } })
        expectError(t, answer, 400, 'invalid_request', name)
        t.match(answer.json().details, [{ path: `/${name}` }])
        t.notMatch(answer.body, pasted, 'and is not repeated')
      }
      await t.rejects(app.revocationRequests.revoke({ [name]: pasted }, {}), {
        code: 'invalid_request', message: new RegExp(`^((?!${pasted.slice(0, 20)}).)*$`)
      })
    }
  }
  const kept = [log.text(), ...await everyRow(app), ...(await entriesInRedis(env)).keys()]
  t.same([secret, access, password].filter(pasted => kept.some(text => text.includes(pasted))), [])
})

/** A service whose access tokens live 600 s. `endOf` reads when an entry in Redis ends, without its margin of 6 s. */
async function withLifetimes (t: Test) {
  const env = await serversEnv(t)
  const app = await build(t, { ...env, ACCESS_TOKEN_TTL: '600', CLOCK_LEEWAY: '2' })
  const { token: admin } = await signUpAdmin(app)
  const revoke = (payload: object) => send(app, 'POST /revocations', { token: admin, body: payload })
  const endOf = async (jti: unknown) =>
    Number((await entriesInRedis(env)).get(entryKey('token', String(jti)))) / 1000 - 6
  return { env, app, admin, revoke, endOf }
}

t.test('an entry in Redis lasts as long as its token could be accepted', async t => {
  const { env, app, revoke, endOf } = await withLifetimes(t)
  const { pair } = await signUp(app)
  const { jti, exp } = decodeJwt(pair.access_token)
  await revoke({ token: pair.access_token })
  t.equal(await endOf(jti), exp, 'with a token, its own end')
  await revoke({ jti })
  t.ok(await endOf(jti) >= Number(exp), 'an entry is never shortened')
  for (const [expiresAt, end] of [[1, 0], [5000, 5000]] as const) {
    const { pair: other } = await signUp(app)
    const { jti, exp } = decodeJwt(other.access_token)
    t.equal(
      (await revoke({ token: other.access_token, expires_at: end > 0 ? Number(exp) + end : expiresAt })).statusCode, 200
    )
    t.equal(await endOf(jti), Number(exp) + end, `with expires_at, the later of both: ${expiresAt}`)
  }
  const key = await app.keyRing.getSigningKey()
  const expired = await new SignJWT({ ...goodClaims(issuer), exp: nowSeconds() - 60 })
    .setProtectedHeader({ alg: 'EdDSA', kid: key.kid, typ: 'at+jwt' })
    .sign(key.privateKey)
  t.equal((await revoke({ token: expired })).statusCode, 200)
  t.notOk(
    (await entriesInRedis(env)).has(entryKey('token', String(decodeJwt(expired).jti))),
    'and a token that has expired needs no entry'
  )
})

t.test('an entry for a jti alone lives as long as a token with the longest lifetime', async t => {
  const { env, app, admin, revoke, endOf } = await withLifetimes(t)
  const { exp } = decodeJwt((await signUp(app)).token)
  const isAbout = (actual: number, expected: number, name: string) =>
    t.ok(actual >= expected && actual < expected + 20, `${name}: ${actual} is ${actual - expected} s after`)
  const ids = Array.from({ length: 5 }, () => crypto.randomUUID())
  const longest = () => nowSeconds() + 600
  for (const [index, expiresAt] of [undefined, 0, nowSeconds() + 10].entries()) {
    const atLeast = longest()
    await revoke({ jti: ids[index], ...expiresAt !== undefined && { expires_at: expiresAt } })
    isAbout(await endOf(ids[index]), atLeast, `expires_at ${expiresAt}: the longest lifetime issued`)
  }
  await revoke({ jti: ids[3], expires_at: nowSeconds() + 5000 })
  isAbout(await endOf(ids[3]), nowSeconds() + 4990, 'unless it is told that it is longer')

  const lowered = await build(t, { ...env, ACCESS_TOKEN_TTL: '60', CLOCK_LEEWAY: '2' })
  await send(lowered, 'POST /revocations', { token: admin, body: { jti: ids[4], expires_at: 0 } })
  t.ok(await endOf(ids[4]) >= Number(exp), 'tokens from before the lifetime was lowered live as long as they did')
})
