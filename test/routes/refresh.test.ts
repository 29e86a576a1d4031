import { decodeJwt } from 'jose'
import t from 'tap'
import { build, onEachStorage, serversEnv } from '../support/app.ts'
import { letTimePass, query, sessionRow } from '../support/database.ts'
import { register, signIn, type Pair } from '../support/people.ts'
import { expectError, logOut, refresh, send } from '../support/requests.ts'
import { isAccepted, sessionIdOf } from '../support/sessions.ts'

const settings = { REFRESH_TOKEN_TTL: '1000', SESSION_MAX_AGE: '1500' }

t.test('clients renew their tokens with POST /refresh', t => onEachStorage(t, async (t, app) => {
  const { username } = await register(app)
  const renew = async (pair: Pair) => (await refresh(app, pair.refresh_token)).json() as Pair

  await t.test('refreshes write one security event for a session and a minute, with their number', async t => {
    const first = await signIn(app, username)
    let { refresh_token: token } = first
    for (let time = 0; time < 5; time++) token = (await refresh(app, token)).json().refresh_token
    const rows = await query<{ count: number }>(
      app, `select count from security_events where session_id = '${sessionIdOf(first)}' and type = 'refresh'`
    )
    // On a busy machine they may come in more than one minute.
    t.ok(rows.length < 5, `${rows.length} rows`)
    t.equal(rows.reduce((sum, { count }) => sum + count, 0), 5)
  })

  await t.test('POST /refresh spends the token for a new pair of the same session', async t => {
    const first = await signIn(app, username)
    const answer = await refresh(app, first.refresh_token)
    t.equal(answer.statusCode, 200)
    t.equal(answer.headers['cache-control'], 'no-store')
    const second = answer.json()
    t.match(second, { token_type: 'Bearer', expires_in: 900, refresh_token: /^[\w-]{43}$/, refresh_expires_in: 1000 })
    t.equal(Object.keys(second).length, 5)
    t.not(second.refresh_token, first.refresh_token)
    const [before, after] = [decodeJwt(first.access_token), decodeJwt(second.access_token)]
    t.not(after.jti, before.jti)
    t.match(after, { sub: before.sub, sid: before['sid'], scope: before['scope'], aud: before.aud, iss: before.iss })
    t.ok(await isAccepted(app, second))
    t.ok(await isAccepted(app, first), 'the old access token goes on until it expires')
  })

  await t.test('POST /refresh stores the time and place of the last use of the session', async t => {
    const pair = await signIn(app, username)
    await letTimePass(app, 100)
    const payload = { refresh_token: pair.refresh_token }
    await send(app, 'POST /refresh', {
      headers: { 'user-agent': 'Opera' }, body: payload, remoteAddress: '203.0.113.9'
    })
    const row = await sessionRow(app, sessionIdOf(pair))
    t.match(row, { ip: '203.0.113.9', user_agent: 'Opera' })
    t.ok(Number(new Date(row['last_used_at'] as string)) - Number(new Date(row['created_at'] as string)) >= 100_000)
  })

  await t.test('POST /refresh extends a session, but never beyond its maximum age', async t => {
    const opened = await signIn(app, username)
    await letTimePass(app, 600)
    const second = await renew(opened)
    t.ok(
      second.refresh_expires_in > 890 && second.refresh_expires_in <= 900,
      `${second.refresh_expires_in} of 1500 are left`
    )
    await letTimePass(app, 800)
    const third = await renew(second)
    t.ok(third.refresh_expires_in > 90 && third.refresh_expires_in <= 100, `${third.refresh_expires_in} are left`)
    const { exp } = decodeJwt(third.access_token)
    t.ok(third.expires_in <= 100, 'the access token does not live longer')
    t.ok(
      Number(exp) <= Number(new Date((await sessionRow(app, sessionIdOf(opened)))['max_expires_at'] as string)) / 1000
    )
    await letTimePass(app, 100)
    expectError(t, await refresh(app, third.refresh_token), 401, 'token_expired')
  })

  await t.test('POST /refresh refuses a token that was not used for too long', async t => {
    const pair = await signIn(app, username)
    await letTimePass(app, 1000)
    const answer = await refresh(app, pair.refresh_token)
    expectError(t, answer, 401, 'token_expired')
    t.match(answer.headers['www-authenticate'], /^Bearer realm="signout", error="invalid_token"/)
  })

  await t.test('POST /refresh refuses an unknown token, and the token of a session that has ended', async t => {
    for (const text of ['x', 'A'.repeat(43), '\u0000', 'é'.repeat(43), 'x'.repeat(4096)]) {
      expectError(t, await refresh(app, text), 401, 'invalid_token')
    }
    const pair = await signIn(app, username)
    await logOut(app, pair.access_token)
    expectError(t, await refresh(app, pair.refresh_token), 401, 'token_revoked')
  })

  await t.test('POST /refresh refuses an invalid body, and spends no token', async t => {
    const { refresh_token: token } = await signIn(app, username)
    const wrong = [
      undefined,
      {},
      { refresh_token: '' },
      { refresh_token: 1 },
      { refresh_token: [token] },
      { refresh_token: null },
      { refresh_token: token, scope: 'admin' },
      { token },
      [token],
      { refresh_token: 'x'.repeat(4097) }
    ]
    for (const payload of wrong) {
      expectError(t, await send(app, 'POST /refresh', { body: payload }), 400, 'invalid_request')
    }
    t.equal((await refresh(app, token)).statusCode, 200)
  })

  await t.test('POST /refresh refuses a token in grace if its session has expired', async t => {
    const pair = await signIn(app, username)
    await renew(pair)
    await query(
      app, `update sessions set expires_at = clock_timestamp() - interval '1 second' where id = '${sessionIdOf(pair)}'`
    )
    expectError(t, await refresh(app, pair.refresh_token), 401, 'token_expired')
  })
}, settings))

t.test('a refresh never shortens the time for which an end of the session is kept (P2)', async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const pair = await signIn(app, (await register(app)).username)
  const lowered = await build(t, { ...env, ACCESS_TOKEN_TTL: '60' })
  t.equal((await refresh(lowered, pair.refresh_token)).statusCode, 200)
  const { access_expires_at: end } = await sessionRow(app, sessionIdOf(pair))
  t.equal(Number(new Date(end as string)) / 1000, decodeJwt(pair.access_token).exp, 'the first token lives longest')
})
