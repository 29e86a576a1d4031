import t from 'tap'
import { everyoneName } from '../../src/entries/revocation.ts'
import { createPerform, NotYetError } from '../../src/unit-of-work.ts'
import { build, embeddedEnv, onEachStorage, serversEnv } from '../support/app.ts'
import { breakBlocklist, entriesInRedis, holdProjector } from '../support/blocklist.ts'
import { everyRow, query } from '../support/database.ts'
import { password, signIn, signUp, signUpAdmin, type Pair } from '../support/people.ts'
import { expectError, get, logOut, refresh, send } from '../support/requests.ts'
import { ended, isAccepted, refusals } from '../support/sessions.ts'
import { until } from '../support/wait.ts'

const reason = 'A laptop with a dump of the database was stolen.'
const good = { access: undefined, refresh: undefined }

/** Returns `auth_time` of a token. */
function authTimeOf ({ access_token: token }: Pick<Pair, 'access_token'>): number {
  return JSON.parse(Buffer.from(String(token.split('.')[1]), 'base64url').toString()).auth_time
}

t.test('everyone is out after POST /revocations with everyone (P1, P5)', t => onEachStorage(t, async (t, app) => {
  const admin = await signUpAdmin(app)
  const { username, pair } = await signUp(app)
  const other = await signUp(app)
  const sendOut = (payload: object = {}, token = admin.token, query = '') =>
    send(app, `POST /revocations${query}`, { token, body: { everyone: true, reason, ...payload } })

  // The first use of the administrator's token is written half a second later.
  t.ok(await isAccepted(app, admin.pair))
  await app.firstUses.flush()
  const before = await everyRow(app)
  const dry = await sendOut({}, admin.token, '?dry_run=true')
  t.same(dry.json(), { dry_run: true, tokens: [], sessions: [], everyone: { sessions: 3, users: 3 } })
  t.same(await everyRow(app), before, 'a dry run changes nothing')
  t.same(await refusals(app, pair), good)

  const answer = await sendOut({ reason: ` ${reason} ` })
  t.equal(answer.statusCode, 200)
  t.same(answer.json().everyone, { sessions: 3, users: 3 })
  t.same([answer.json().tokens, answer.json().sessions], [[], []])
  for (const out of [admin.pair, pair, other.pair]) t.same(await refusals(app, out), ended)
  t.match(
    await query(app, "select actor_id, details from security_events where type = 'everyone_out'"),
    [{ actor_id: admin.id, details: { reason, by: 'admin' } }]
  )

  // At once, and so in the same second.
  const again = await signIn(app, username)
  const [{ before: outBefore } = {}] = await query<{ before: number }>(
    app, 'select extract(epoch from max(issued_before))::float8 as before from revocations'
  )
  t.ok(authTimeOf(again) >= Number(outBefore), 'the login has waited for the next second')
  t.ok(await isAccepted(app, again))
  t.equal((await refresh(app, again.refresh_token)).statusCode, 200)
  const once = await sendOut({}, (await signIn(app, admin.username)).access_token)
  t.same(once.json().everyone, { sessions: 2, users: 2 }, 'those who came back')
}))

t.test('a session is over when everyone is out, whatever its owner does next', t => onEachStorage(t, async (t, app) => {
  const admin = await signUpAdmin(app)
  const { username, pair, id } = await signUp(app)
  await send(app, 'POST /revocations', { token: admin.token, body: { everyone: true, reason } })
  await expectError(t, await logOut(app, pair.access_token), 401, 'token_revoked')
  const withRefreshToken = await send(app, 'POST /logout', { body: { refresh_token: pair.refresh_token } })
  t.equal(withRefreshToken.statusCode, 200, 'it is over')
  const reauthenticate = await send(app, 'POST /reauthenticate', { token: pair.access_token, body: { password } })
  await expectError(t, reauthenticate, 401, 'token_revoked')
  const again = await signIn(app, username)
  const live = (await get(app, '/me/sessions', again.access_token)).json().sessions
  t.equal(live.length, 1, 'the old one is not among them')
  const { token } = await signUpAdmin(app)
  t.equal((await get(app, `/users/${id}/sessions`, token)).json().sessions.length, 1)
  await send(app, `DELETE /users/${id}/sessions`, { token })
  t.same(await query(app, `select end_reason from sessions where user_id = '${id}' order by created_at`), [
    { end_reason: null }, { end_reason: 'ended_by_admin' }
  ], 'and its end is not that of a later act')
}))

t.test('POST /revocations with everyone refuses mistakes, and ends nothing', t => onEachStorage(t, async (t, app) => {
  const { token, pair } = await signUpAdmin(app)
  const before = await everyRow(app)
  for (const body of [
    { everyone: true },
    { everyone: true, reason: ' ' },
    { everyone: true, reason: 'two\nlines' },
    { everyone: true, reason: 'half a \ud800 pair' },
    { everyone: true, reason: 'x'.repeat(501) },
    { everyone: false, reason },
    { everyone: true, reason, subject: '00000000-0000-4000-8000-000000000000' },
    { everyone: true, reason, expires_at: 253_402_300_799 },
    { jti: '00000000-0000-4000-8000-000000000000', reason },
    { reason }
  ]) await expectError(t, await send(app, 'POST /revocations', { token, body }), 400, 'invalid_request')
  await expectError(t, await send(app, 'POST /revocations', {
    token: (await signUp(app)).token, body: { everyone: true, reason }
  }), 403, 'forbidden')
  t.equal((await everyRow(app)).length > before.length, true, 'a user was added')
  t.same(await query(app, 'select 1 from revocations'), [])
  t.ok(await isAccepted(app, pair))
}))

t.test('everyone is out after a 503 too, and once Redis is back on every replica (P2, P4)', async t => {
  const env = await serversEnv(t)
  const [app, replica] = [await build(t, env), await build(t, env)]
  const admin = await signUpAdmin(app)
  const { pair } = await signUp(app)
  const mend = breakBlocklist(app)
  await expectError(t, await send(app, 'POST /revocations', {
    token: admin.token, body: { everyone: true, reason }
  }), 503, 'revocation_unavailable')
  mend()
  // 503 while the replica knows of it from the record alone.
  await until('the projector has written it', async () =>
    (await get(replica, '/token', pair.access_token)).statusCode === 401)
  t.same(await refusals(app, pair), ended)
  t.equal((await entriesInRedis(env)).has(everyoneName), true)
})

t.test('a session that is out gets 401 only once every replica refuses its tokens (P4)', async t => {
  const env = await serversEnv(t)
  const [app, replica] = [await build(t, env), await build(t, env)]
  const admin = await signUpAdmin(app)
  const { pair } = await signUp(app)
  const release = await holdProjector(app)
  const mend = breakBlocklist(app)
  await send(app, 'POST /revocations', { token: admin.token, body: { everyone: true, reason } })
  await expectError(t, await refresh(app, pair.refresh_token), 503, 'revocation_unavailable')
  mend()
  await expectError(t, await refresh(app, pair.refresh_token), 401, 'token_revoked')
  t.ok((await entriesInRedis(env)).has(everyoneName), 'written by the refresh')
  await release()
  await until('look-ups count again', async () => (await get(replica, '/token', pair.access_token)).statusCode === 401)
})

t.test('everyone stays out, and a key compromised, after an embedded server has restarted (P2)', async t => {
  const env = await embeddedEnv(t)
  const app = await build(t, env)
  const { username, pair: first } = await signUp(app)
  await app.revocationRequests.revoke({ everyone: true, reason }, {})
  const second = await signIn(app, username)
  const { kid } = await app.keyRing.getSigningKey()
  await app.keyAdministration.retire(kid, true, {})
  const third = (await refresh(app, second.refresh_token)).json() as Pair
  await app.close()

  const restarted = await build(t, env)
  const { blocklist } = restarted
  for (const pair of [first, second]) t.notOk(await isAccepted(restarted, pair))
  t.ok(await isAccepted(restarted, third))
  // By the blocklist alone: the ring of keys refuses tokens of the first key in any case.
  t.equal(await blocklist.isRevoked({ jti: 'another', auth_time: authTimeOf(first) }), true)
  t.equal(await blocklist.isRevoked({ jti: 'another', auth_time: authTimeOf(third) }, kid), true)
  t.equal(await blocklist.isRevoked({ jti: 'another', auth_time: authTimeOf(third) }), false)
})

t.test('a login that must wait holds no connection meanwhile, and waits for two seconds at most', async t => {
  const app = await build(t, await serversEnv(t))
  const transactions = { begun: 0, open: 0 }
  const perform = createPerform({
    database: {
      ...app.database,
      async transaction (work) {
        transactions.begun++
        transactions.open++
        try { return await app.database.transaction(work) } finally { transactions.open-- }
      }
    },
    revoker: app.revoker,
    announce () {}
  })
  const seen = await perform(async () => {
    if (transactions.begun < 3) throw new NotYetError(5)
    return { ...transactions }
  })
  t.same(seen, { begun: 3, open: 1 })
  await t.rejects(perform(() => Promise.reject(new NotYetError(2_001))), { code: 'service_unavailable' })
})

t.test('the instant of everyone never moves back, even if the clock of Postgres does (P2)', async t => {
  const app = await build(t, await serversEnv(t))
  const { username } = await signUp(app)
  const sendOut = () => app.revocationRequests.revoke({ everyone: true, reason }, {})
  await sendOut()
  // As if it had been set back by an hour since.
  await query(app, "update revocations set issued_before = issued_before + interval '1 hour'")
  await sendOut()
  const rows = await query(app, 'select distinct issued_before from revocations')
  t.equal(rows.length, 1)
  const answer = await send(app, 'POST /login', { body: { username, password } })
  await expectError(t, answer, 503, 'service_unavailable')
})
