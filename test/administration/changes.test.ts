import { decodeJwt } from 'jose'
import t from 'tap'
import { onEachStorage } from '../support/app.ts'
import { query } from '../support/database.ts'
import { password, register, signIn, signUp, signUpAdmin, signUpWithSessions } from '../support/people.ts'
import { expectError, get, send } from '../support/requests.ts'
import { ended, isAccepted, refusals } from '../support/sessions.ts'

const good = { access: undefined, refresh: undefined }

t.test('administrators change and delete users', t => onEachStorage(t, async (t, app) => {
  const { id: adminId, token: admin } = await signUpAdmin(app)
  const put = (id: string, what: string, value: unknown) =>
    send(app, `PUT /users/${id}/${what}`, { token: admin, body: { [what]: value } })
  const login = (username: string, password: string) => send(app, 'POST /login', { body: { username, password } })
  const reasonsOf = async (id: string) =>
    (await query(app, `select distinct end_reason from sessions where user_id = '${id}'`)).map(row => row['end_reason'])

  await t.test('a change of role ends the sessions of the user, and the next session has the new role in its scope', async t => {
    const { id, username, sessions } = await signUpWithSessions(app, 2)
    const answer = await put(id, 'role', 'admin')
    t.equal(answer.statusCode, 200)
    const { created_at: createdAt, ...rest } = answer.json()
    t.same(rest, { id, username, role: 'admin', status: 'active' })
    t.ok(createdAt)
    t.same(await Promise.all(sessions.map(pair => refusals(app, pair))), [ended, ended])
    t.same(await reasonsOf(id), ['role_changed'])
    const promoted = await signIn(app, username)
    t.equal(decodeJwt(promoted.access_token)['scope'], 'admin')
    t.equal((await get(app, '/users', promoted.access_token)).statusCode, 200, 'a login right after works')
    t.equal((await put(id, 'role', 'admin')).statusCode, 200, 'the same role again')
    t.ok(await isAccepted(app, promoted), 'ends nothing newer')
    t.equal((await put(id, 'role', 'user')).json().role, 'user')
    expectError(t, await get(app, '/users', promoted.access_token), 401, 'token_revoked')
    expectError(t, await get(app, '/users', (await signIn(app, username)).access_token), 403, 'forbidden')
  })

  await t.test('a disabled user cannot sign in or refresh until the account is enabled again', async t => {
    const { id, username, sessions } = await signUpWithSessions(app, 2)
    const answer = await put(id, 'status', 'disabled')
    t.equal(answer.statusCode, 200)
    t.match(answer.json(), { id, username, role: 'user', status: 'disabled' })
    t.same(await Promise.all(sessions.map(pair => refusals(app, pair))), [ended, ended])
    t.same(await reasonsOf(id), ['account_disabled'])
    expectError(t, await login(username, password), 403, 'account_disabled')
    expectError(
      t,
      await login(username, 'not the right password'),
      401,
      'invalid_credentials',
      'who does not know the password learns nothing'
    )
    t.equal((await put(id, 'status', 'disabled')).statusCode, 200)
    expectError(t, await send(app, 'POST /register', { body: { username, password } }), 409, 'username_taken')

    t.equal((await put(id, 'status', 'active')).json().status, 'active')
    const again = await signIn(app, username)
    t.same(await Promise.all(sessions.map(pair => isAccepted(app, pair))), [false, false], 'what has ended stays so')
    t.equal((await put(id, 'status', 'active')).statusCode, 200)
    t.same(await refusals(app, again), good)
  })

  await t.test('a deleted user has no account and no session, and a repeated deletion succeeds', async t => {
    const { id, username, sessions } = await signUpWithSessions(app, 2)
    for (let time = 0; time < 2; time++) {
      const answer = await send(app, `DELETE /users/${id}`, { token: admin })
      t.equal(answer.statusCode, 204)
      t.equal(answer.body, '')
    }
    t.same(await Promise.all(sessions.map(pair => refusals(app, pair))), [ended, ended])
    t.same(await reasonsOf(id), ['account_deleted'])
    expectError(t, await get(app, `/users/${id}`, admin), 404, 'not_found')
    expectError(t, await login(username, password), 401, 'invalid_credentials')
    for (const [what, value] of [
      ['role', 'admin'], ['status', 'disabled']
    ] as const) {
      expectError(t, await put(id, what, value), 404, 'not_found')
    }
    t.equal(
      (await send(app, 'POST /register', { body: { username, password } })).statusCode, 201, 'the name is free'
    )
    const { id: neverSignedIn } = await register(app)
    for (let time = 0; time < 2; time++) {
      t.equal(
        (await send(app, `DELETE /users/${neverSignedIn}`, { token: admin })).statusCode,
        204,
        'whether or not they had ever signed in'
      )
    }
    expectError(t, await send(app, `DELETE /users/${crypto.randomUUID()}`, { token: admin }), 404, 'not_found')
    expectError(t, await send(app, 'DELETE /users/x', { token: admin }), 400, 'invalid_request')
  })

  await t.test('an administrator can end the sessions of a user, and later sessions are not ended', async t => {
    const { id, username, sessions } = await signUpWithSessions(app, 2)
    const { pair: stranger } = await signUp(app)
    t.equal((await send(app, `DELETE /users/${id}/sessions`, { token: admin })).statusCode, 204)
    t.same(await Promise.all(sessions.map(pair => refusals(app, pair))), [ended, ended])
    t.same(await reasonsOf(id), ['ended_by_admin'])
    t.same(await refusals(app, await signIn(app, username)), good)
    t.same(await refusals(app, stranger), good)
  })

  await t.test('a user id in capital letters names the same user on every route', async t => {
    const { id, username, pair } = await signUp(app)
    const url = `/users/${id.toUpperCase()}`
    t.equal((await get(app, url, admin)).json().id, id)
    t.equal((await get(app, `${url}/sessions`, admin)).json().sessions.length, 1)
    t.equal((await send(app, `DELETE ${url}/sessions`, { token: admin })).statusCode, 204)
    t.same(await refusals(app, pair), ended)
    t.equal((await put(id.toUpperCase(), 'role', 'admin')).json().role, 'admin')
    t.equal((await put(id.toUpperCase(), 'status', 'disabled')).json().status, 'disabled')
    t.equal((await put(id.toUpperCase(), 'status', 'active')).json().status, 'active')
    const newer = await signIn(app, username)
    t.equal((await send(app, `DELETE ${url}`, { token: admin })).statusCode, 204)
    expectError(
      t, await login(username, password), 401, 'invalid_credentials', 'a deletion that was answered 204 has happened'
    )
    t.same(await refusals(app, newer), ended)
    expectError(t, await get(app, `/users/${id}`, admin), 404, 'not_found')
  })

  await t.test('an invalid role, an invalid status and an unknown user are refused', async t => {
    const { id, pair } = await signUp(app)
    for (const [what, value] of [
      ['role', 'root'], ['role', ''], ['role', null], ['status', 'gone'], ['status', true]
    ] as const) {
      expectError(t, await put(id, what, value), 400, 'invalid_request')
    }
    expectError(
      t,
      await send(app, `PUT /users/${id}/role`, { token: admin, body: { role: 'admin', status: 'active' } }),
      400,
      'invalid_request'
    )
    expectError(t, await put(crypto.randomUUID(), 'role', 'admin'), 404, 'not_found')
    expectError(t, await put('x', 'role', 'admin'), 400, 'invalid_request')
    t.same(await refusals(app, pair), good)
  })

  await t.test('each change is recorded for the user, with the administrator who made it', async t => {
    const { id } = await signUp(app)
    await put(id, 'role', 'admin')
    await put(id, 'role', 'admin')
    await put(id, 'status', 'disabled')
    await send(app, `DELETE /users/${id}`, { token: admin })
    const events = await query(
      app,
      `select type, actor_id, host(ip) as ip, details from security_events where user_id = '${id}' and actor_id is not null order by position`
    )
    const by = { actor_id: adminId, ip: '127.0.0.1' }
    t.same(events, [
      { type: 'role_changed', ...by, details: { by: 'admin', role: 'admin', sessions: 1 } },
      { type: 'status_changed', ...by, details: { by: 'admin', status: 'disabled', sessions: 0 } },
      { type: 'account_deleted', ...by, details: { by: 'admin' } }
    ])
  })
}))

t.test('the last administrator cannot be demoted, disabled or deleted', t => onEachStorage(t, async (t, app) => {
  const only = await signUpAdmin(app)
  const { id: formerId } = await app.accounts.register('former', password, {}, 'admin')
  await send(app, `PUT /users/${formerId}/status`, { token: only.token, body: { status: 'disabled' } })
  const acts = {
    demoted: () => send(app, `PUT /users/${only.id}/role`, { token: only.token, body: { role: 'user' } }),
    disabled: () => send(app, `PUT /users/${only.id}/status`, { token: only.token, body: { status: 'disabled' } }),
    deleted: () => send(app, `DELETE /users/${only.id}`, { token: only.token }),
    'deleted by themself': () => send(app, 'DELETE /me', { token: only.token, body: { password } })
  }
  for (const [name, act] of Object.entries(acts)) {
    expectError(t, await act(), 409, 'last_admin', `${name}: one who is disabled is no other one`)
  }
  t.match(
    (await get(app, `/users/${only.id}`, only.token)).json(),
    { role: 'admin', status: 'active' },
    'and the session goes on'
  )
  t.same(
    await query(app, "select type from security_events where type in ('role_changed', 'account_deleted')"),
    [],
    'nothing is recorded that did not happen'
  )

  t.equal(
    (await send(app, `PUT /users/${formerId}/role`, { token: only.token, body: { role: 'user' } })).statusCode,
    200,
    'a disabled one may go'
  )
  const second = await signUpAdmin(app)
  t.equal(
    (await send(app, 'DELETE /me', { token: second.token, body: { password } })).statusCode, 204, 'one of two may go'
  )
  const third = await signUpAdmin(app)
  t.equal((await acts.demoted()).statusCode, 200, 'and step down')
  expectError(t, await send(app, 'DELETE /me', { token: third.token, body: { password } }), 409, 'last_admin')
}))
