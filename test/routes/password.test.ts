import t from 'tap'
import { onEachStorage } from '../support/app.ts'
import { everyRow, query, sessionRow } from '../support/database.ts'
import { password, register, signIn, signUp, signUpWithSessions, type Pair } from '../support/people.ts'
import { expectError, refresh, send } from '../support/requests.ts'
import { ended, isAccepted, refusals, sessionIdOf } from '../support/sessions.ts'

const newPassword = 'a wholly different pass phrase'
const good = { access: undefined, refresh: undefined }

t.test('users change their password with PUT /me/password', t => onEachStorage(t, async (t, app) => {
  const change = (pair: Pair, current: unknown, next: unknown) =>
    send(app, 'PUT /me/password', { token: pair.access_token, body: { current_password: current, new_password: next } })
  const login = (username: string, password: string) => send(app, 'POST /login', { body: { username, password } })

  await t.test('PUT /me/password sets the new password, ends all other sessions and keeps this one', async t => {
    const { id, username, sessions } = await signUpWithSessions(app, 3)
    const stranger = await signUpWithSessions(app, 1)
    const [one, two, mine] = sessions as [Pair, Pair, Pair]
    const answer = await change(mine, password, newPassword)
    t.equal(answer.statusCode, 204)
    t.equal(answer.body, '')
    t.equal((await login(username, newPassword)).statusCode, 200, 'a login right after works')
    expectError(t, await login(username, password), 401, 'invalid_credentials')
    t.same(await Promise.all([one, two].map(pair => refusals(app, pair))), [ended, ended])
    t.same(await Promise.all([mine, stranger.sessions[0] as Pair].map(pair => refusals(app, pair))), [good, good])
    t.match(await sessionRow(app, sessionIdOf(one)), { end_reason: 'password_changed' })
    const events = await query(
      app, `select session_id, details from security_events where type = 'password_changed' and user_id = '${id}'`
    )
    t.same(events, [{ session_id: sessionIdOf(mine), details: { sessions: 2 } }])
    t.same((await everyRow(app)).filter(row => row.includes(newPassword) || row.includes(password)), [])
  })

  await t.test('a repeated PUT /me/password succeeds, and does not end sessions that were opened since', async t => {
    const { id, username, pair: mine } = await signUp(app)
    t.equal((await change(mine, password, newPassword)).statusCode, 204)
    const newer = (await login(username, newPassword)).json() as Pair
    t.equal((await change(mine, password, newPassword)).statusCode, 204)
    t.same(await refusals(app, newer), good)
    t.equal(
      (await query(app, `select 1 from security_events where type = 'password_changed' and user_id = '${id}'`)).length,
      1
    )
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

  await t.test('PUT /me/password keeps the refresh token of this session valid, and its grace', async t => {
    const { username } = await register(app)
    const first = await signIn(app, username)
    const second = (await refresh(app, first.refresh_token)).json() as Pair
    await change(second, password, newPassword)
    t.equal((await refresh(app, first.refresh_token)).json().refresh_token, second.refresh_token)
    t.same(await refusals(app, second), good)
  })
}))
