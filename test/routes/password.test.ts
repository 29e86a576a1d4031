import t from 'tap'
import { onEachStorage } from '../support/app.ts'
import { everyRow, query, sessionRow } from '../support/database.ts'
import { password, signUp, signUpWithSessions, type Pair } from '../support/people.ts'
import { expectError, send } from '../support/requests.ts'
import { ended, isAccepted, refusals, sessionIdOf } from '../support/sessions.ts'

const newPassword = 'a wholly different pass phrase'
const good = { access: undefined, refresh: undefined }

t.test('users change their password with PUT /me/password', t => onEachStorage(t, async (t, app) => {
  const change = (pair: Pair, current: unknown, next: unknown) =>
    send(app, 'PUT /me/password', { token: pair.access_token, body: { current_password: current, new_password: next } })
  const login = (username: string, password: string) => send(app, 'POST /login', { body: { username, password } })

  await t.test('PUT /me/password sets the new password, ends every session, and opens a new one', async t => {
    const { id, username, sessions } = await signUpWithSessions(app, 3)
    const stranger = await signUpWithSessions(app, 1)
    const mine = sessions[2] as Pair
    const answer = await change(mine, password, newPassword)
    t.equal(answer.statusCode, 200)
    t.equal(answer.headers['cache-control'], 'no-store')
    const next = answer.json() as Pair
    t.not(sessionIdOf(next), sessionIdOf(mine))
    t.equal((await login(username, newPassword)).statusCode, 200, 'a login right after works')
    expectError(t, await login(username, password), 401, 'invalid_credentials')
    t.same(await Promise.all(sessions.map(pair => refusals(app, pair))), [ended, ended, ended], 'a shared one too')
    t.same(await Promise.all([next, stranger.sessions[0] as Pair].map(pair => refusals(app, pair))), [good, good])
    t.match(await sessionRow(app, sessionIdOf(mine)), { end_reason: 'password_changed' })
    const events = await query(
      app, `select session_id, details from security_events where type = 'password_changed' and user_id = '${id}'`
    )
    t.same(events, [{ session_id: sessionIdOf(mine), details: { sessions: 3 } }])
    t.same((await everyRow(app)).filter(row => row.includes(newPassword) || row.includes(password)), [])
  })

  await t.test('a repeated PUT /me/password is answered like a login, and ends no session opened since', async t => {
    const { id, username, pair: mine } = await signUp(app)
    const first = (await change(mine, password, newPassword)).json() as Pair
    const newer = (await login(username, newPassword)).json() as Pair
    const repeated = await change(mine, password, newPassword)
    t.equal(repeated.statusCode, 200)
    t.same(await Promise.all([first, newer, repeated.json()].map(pair => refusals(app, pair))), [good, good, good])
    expectError(t, await change(mine, password, 'yet another pass phrase'), 403, 'invalid_credentials')
    expectError(t, await change(mine, newPassword, 'yet another pass phrase'), 401, 'token_revoked')
    const which = `type in ('password_changed', 'login') and user_id = '${id}'`
    const kinds = await query<{ type: string }>(app, `select type from security_events where ${which} order by 1`)
    t.same(kinds.map(({ type }) => type), ['login', 'login', 'login', 'password_changed'])
  })

  await t.test('PUT /me/password with the token of a session that has ended otherwise is refused', async t => {
    const { pair: mine } = await signUp(app)
    await send(app, 'POST /logout', { token: mine.access_token })
    expectError(t, await change(mine, password, newPassword), 401, 'token_revoked')
  })

  await t.test('PUT /me/password with a wrong current password is refused and counted', async t => {
    const { id, username, sessions } = await signUpWithSessions(app, 2)
    const [mine, other] = sessions as [Pair, Pair]
    const answer = await change(mine, 'not the right password', newPassword)
    expectError(t, answer, 403, 'invalid_credentials')
    t.notOk(answer.headers['www-authenticate'], 'the token is well')
    t.same(await Promise.all([mine, other].map(pair => isAccepted(app, pair))), [true, true])
    t.equal((await login(username, password)).statusCode, 200)
    t.same(
      await query(app, `select type, count from security_events where type like '%failed' and user_id = '${id}'`),
      [{ type: 'password_check_failed', count: 1 }]
    )
  })

  await t.test('PUT /me/password with an invalid new password is refused, and names the place of the mistake', async t => {
    const { username, pair: mine } = await signUp(app)
    const short = await change(mine, password, 'fourteen chars')
    expectError(t, short, 400, 'invalid_request')
    t.same(short.json().details, [{ path: '/new_password', message: 'must have 15 characters or more' }])
    for (const wrong of ['', 'x'.repeat(257), 1, null, undefined]) {
      const answer = await change(mine, password, wrong)
      expectError(t, answer, 400, 'invalid_request', String(wrong))
      t.equal(answer.json().details[0].path, '/new_password')
    }
    for (const wrong of ['', 1, undefined]) {
      t.equal((await change(mine, wrong, newPassword)).json().details[0].path, '/current_password')
    }
    expectError(
      t,
      await send(app, 'PUT /me/password', { body: { current_password: password, new_password: newPassword } }),
      401,
      'authorization_required'
    )
    t.equal((await login(username, password)).statusCode, 200)
  })
}))
