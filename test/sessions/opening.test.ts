import { createHash } from 'node:crypto'
import { decodeJwt } from 'jose'
import t from 'tap'
import { onEachStorage } from '../support/app.ts'
import { everyRow, query, sessionRow } from '../support/database.ts'
import { password, register, signIn, signUp, signUpWithSessions, type Pair } from '../support/people.ts'
import { expectError, get, logOut, refresh, send } from '../support/requests.ts'
import { isAccepted, sessionIdOf } from '../support/sessions.ts'

t.test('a login opens a session', t => onEachStorage(t, async (t, app) => {
  const ada = await register(app)
  const login = async (headers: Record<string, string> = {}, remoteAddress = '203.0.113.7') =>
    (
      await send(app, 'POST /login', { headers, body: { username: ada.username, password }, remoteAddress })
    ).json() as Pair

  await t.test('a new session has an id, a user, times, a user agent and an address', async t => {
    const before = Date.now()
    const pair = await login({ 'user-agent': 'Firefox' })
    const { iat, exp, jti, sid } = decodeJwt(pair.access_token)
    const row = await sessionRow(app, sid)
    t.match(row, {
      id: sid,
      user_id: ada.id,
      ip: '203.0.113.7',
      user_agent: 'Firefox',
      ended_at: null,
      end_reason: null,
      access_token_id: jti
    })
    const at = (column: string) => new Date(row[column] as string).getTime()
    t.ok(Math.abs(at('created_at') - before) < 5_000)
    t.equal(at('last_used_at'), at('created_at'))
    t.equal(at('expires_at'), at('created_at') + 1_209_600_000)
    t.equal(at('access_token_issued_at'), Number(iat) * 1000)
    t.equal(at('access_token_expires_at'), Number(exp) * 1000)
    t.equal(at('access_expires_at'), Number(exp) * 1000)
  })

  await t.test('the user agent of a session is cut to 255 characters, and may be missing', async t => {
    const agentOf = async (headers: Record<string, string>) =>
      (await sessionRow(app, sessionIdOf(await login(headers))))['user_agent']
    t.equal(await agentOf({ 'user-agent': 'x'.repeat(1000) }), 'x'.repeat(255))
    t.equal(await agentOf({ 'user-agent': 'x'.repeat(255) }), 'x'.repeat(255))
    t.equal(await agentOf({ 'user-agent': '' }), '')
  })

  await t.test('the address of a session has one form', async t => {
    const ipOf = async (address: string) => (await sessionRow(app, sessionIdOf(await login({}, address))))['ip']
    t.equal(await ipOf('::ffff:192.0.2.1'), '192.0.2.1')
    t.equal(await ipOf('2001:DB8:0:0::1'), '2001:db8::1')
    t.equal(await ipOf('fe80::1%eth0'), 'fe80::1')
  })

  await t.test('nothing in the database reveals a token of a session', async t => {
    const first = await login()
    const second = (await refresh(app, first.refresh_token)).json() as Pair
    const rows = await everyRow(app)
    t.ok(rows.length > 5)
    const hash = createHash('sha256').update(second.refresh_token).digest('hex')
    t.ok(rows.some(row => row.includes(`\\x${hash}`)), 'the SHA-256 of a refresh token is there, and would be found')
    for (const token of [
      first.refresh_token, second.refresh_token, first.access_token, second.access_token, password
    ]) {
      const forms = [
        token, Buffer.from(token).toString('hex'), Buffer.from(token, 'base64url').toString('hex'),
        Buffer.from(token).toString('base64'), token.split('.').at(-1) as string
      ]
      t.same(
        rows.filter(row => forms.some(form => row.includes(form))), []
      )
    }
  })

  await t.test('the two tokens of a session cannot replace each other', async t => {
    const pair = await login()
    expectError(t, await get(app, '/me', pair.refresh_token), 401, 'invalid_token')
    expectError(t, await refresh(app, pair.access_token), 401, 'invalid_token')
    expectError(
      t, await send(app, 'POST /logout', { body: { refresh_token: pair.access_token } }), 401, 'invalid_token'
    )
    t.ok(await isAccepted(app, pair), 'and nothing came of trying')
  })
}))

t.test('a login beyond MAX_SESSIONS ends the session that was idle longest', t => onEachStorage(t, async (t, app) => {
  const { username, sessions } = await signUpWithSessions(app, 3)
  const [oldest, second, third] = sessions as [Pair, Pair, Pair]
  const renewed = (await refresh(app, oldest.refresh_token)).json() as Pair

  const fourth = await signIn(app, username)
  t.ok(await isAccepted(app, fourth))
  t.ok(await isAccepted(app, renewed), 'the oldest was used last')
  t.ok(await isAccepted(app, oldest))
  t.ok(await isAccepted(app, third))
  t.notOk(await isAccepted(app, second), 'the second was idle longest')
  expectError(t, await refresh(app, second.refresh_token), 401, 'token_revoked')
  t.match(await sessionRow(app, sessionIdOf(second)), { end_reason: 'too_many_sessions' })
  t.same(
    await query(
      app,
      `select details ->> 'reason' as reason from security_events where type = 'session_ended' and session_id = '${sessionIdOf(second)}'`
    ),
    [{ reason: 'too_many_sessions' }]
  )

  t.ok(await isAccepted(app, (await signUp(app)).pair))
  t.ok(await isAccepted(app, third), 'sessions of somebody else do not count')
  await logOut(app, third.access_token)
  await signIn(app, username)
  t.ok(await isAccepted(app, fourth), 'nor do those that have ended')
  t.ok(await isAccepted(app, renewed))
}, { MAX_SESSIONS: '3' }))
