import t from 'tap'
import { onEachStorage } from '../support/app.ts'
import { signIn, signUp, signUpAdmin, signUpWithSessions, type Pair } from '../support/people.ts'
import { expectError, get, send } from '../support/requests.ts'
import { sessionIdOf } from '../support/sessions.ts'

t.test('users read their security events with GET /me/security-events', t => onEachStorage(t, async (t, app) => {
  const list = async ({ access_token: token }: Pair, query = '') =>
    (await get(app, `/me/security-events${query}`, token)).json()
  const typesOf = (events: Array<{ type: string }>) => events.map(({ type }) => type)

  await t.test('GET /me/security-events lists only the events of the user, newest first', async t => {
    const admin = await signUpAdmin(app)
    const { id, username, pair: first } = await signUp(app)
    await signUp(app)
    await send(app, `DELETE /users/${id}/sessions`, { token: admin.token })
    await send(app, 'POST /login', { body: { username, password: 'not the right password' } })
    const mine = await signIn(app, username)
    const { events, next_cursor: next } = await list(mine)
    t.equal(next, null)
    t.same(typesOf(events), ['login', 'login_failed', 'sessions_revoked', 'login', 'registered'])
    const { id: position, at, ...rest } = events[2]
    t.match(position, /^\d+$/)
    t.equal(new Date(at).toISOString(), at)
    t.same(
      rest,
      { type: 'sessions_revoked', count: 1, session_id: null, ip: null, by_admin: true, details: { sessions: 1 } },
      'who did it, and where from, is not told'
    )
    t.match(events[3], { session_id: sessionIdOf(first), by_admin: false, details: {} })
  })

  await t.test('GET /me/security-events shows the address of an administrator only to that administrator', async t => {
    const { id, token, username } = await signUpAdmin(app)
    const other = await signUpWithSessions(app, 1)
    const from = { remoteAddress: '203.0.113.77' }
    for (const [method, what, body] of [
      ['DELETE', 'sessions'],
      ['PUT', 'status', { status: 'disabled' }],
      ['PUT', 'status', { status: 'active' }],
      ['PUT', 'role', { role: 'admin' }]
    ] as const) {
      await send(app, `${method} /users/${other.id}/${what}`, { token, body, ...from })
    }
    await send(app, 'POST /revocations', { token, body: { subject: other.id }, ...from })
    const { events } = await list(await signIn(app, other.username))
    t.same(typesOf(events), [
      'login', 'sessions_revoked', 'role_changed', 'status_changed', 'status_changed', 'sessions_revoked', 'login',
      'registered'
    ])
    t.notMatch(JSON.stringify(events), from.remoteAddress)
    await send(app, `DELETE /users/${id}/sessions`, { token, ...from })
    t.match((await list(await signIn(app, username))).events[1], {
      type: 'sessions_revoked', ip: from.remoteAddress, by_admin: true
    })
  })

  await t.test('GET /me/security-events has pages without gaps or repeats while events are added', async t => {
    const { username, sessions } = await signUpWithSessions(app, 5)
    const mine = sessions[0] as Pair
    const { events: all } = await list(mine)
    const seen: unknown[] = []
    let page = await list(mine, '?limit=2')
    for (;;) {
      t.ok(page.events.length <= 2)
      seen.push(...page.events)
      if (page.next_cursor === null) break
      await signIn(app, username)
      page = await list(mine, `?limit=2&cursor=${page.next_cursor}`)
    }
    t.same(seen, all)
    t.equal(seen.length, 6)
  })

  await t.test('GET /me/security-events refuses an invalid limit, an invalid cursor and an unknown parameter', async t => {
    const { pair: { access_token: token } } = await signUp(app)
    for (const query of [
      'limit=-Infinity', 'limit=-1e999', 'limit=Infinity', 'limit=0', 'limit=101', 'cursor=', 'cursor=x',
      `cursor=${Buffer.from('-1').toString('base64url')}`,
      `cursor=${Buffer.from('9'.repeat(30)).toString('base64url')}`, 'user=x'
    ]) {
      expectError(t, await get(app, `/me/security-events?${query}`, token), 400, 'invalid_request', query)
    }
    expectError(t, await get(app, '/me/security-events'), 401, 'authorization_required')
  })
}))
