import { sql } from 'drizzle-orm'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { createEventRepository } from '../../src/security/event-repository.ts'
import { build, serversEnv, shareStorages } from '../support/app.ts'
import { recordTrips } from '../support/blocklist.ts'
import { everyRow, query, type Row } from '../support/database.ts'
import { keepLog } from '../support/log.ts'
import { password, register, signUp, signUpAdmin, signUpWithSessions, type Pair } from '../support/people.ts'
import { expectError, refresh, send } from '../support/requests.ts'
import { isAccepted, sessionIdOf } from '../support/sessions.ts'

const newPassword = 'a wholly different pass phrase'
const eventsOf = (app: FastifyInstance, userId: string): Promise<Row[]> =>
  query(
    app,
    `select type, actor_id, session_id, host(ip) as ip, details, count from security_events where user_id = '${userId}' order by position`
  )

/** Makes every act of a user on the own account. Returns the expected events in order. */
async function liveALife (
  app: FastifyInstance
): Promise<{
  id: string, secrets: string[], expected: Array<[type: string, sessionId: string | null, details: Row | null]>
}> {
  const { id, username, sessions } = await signUpWithSessions(app, 4)
  const [one, two, three, four] = sessions as [Pair, Pair, Pair, Pair]
  const next = (await refresh(app, one.refresh_token)).json() as Pair
  await send(app, `DELETE /me/sessions/${sessionIdOf(two)}`, { token: one.access_token })
  await send(app, 'PUT /me/password', {
    token: one.access_token, body: { current_password: 'a wrong pass phrase', new_password: newPassword }
  })
  await send(app, 'PUT /me/password', {
    token: one.access_token, body: { current_password: password, new_password: newPassword }
  })
  await send(app, 'POST /login', { body: { username, password: 'another wrong pass phrase' } })
  const again = (await send(app, 'POST /login', { body: { username, password: newPassword } })).json() as Pair
  await send(app, 'POST /logout?scope=others', { token: again.access_token })
  await send(app, 'POST /logout', { body: { refresh_token: again.refresh_token } })
  const last = (await send(app, 'POST /login', { body: { username, password: newPassword } })).json() as Pair
  await send(app, 'DELETE /me', { token: last.access_token, body: { password: newPassword } })
  const pairs = [one, two, three, four, next, again, last]
  return {
    id,
    secrets: [
      password, newPassword, 'wrong pass phrase',
      ...pairs.flatMap(pair => [pair.access_token, pair.refresh_token, pair.access_token.split('.')[2] as string])
    ],
    expected: [
      ['registered', null, { role: 'user' }],
      ...sessions.map((pair): [string, string, null] => ['login', sessionIdOf(pair), null]),
      ['refresh', sessionIdOf(one), null],
      ['session_ended', sessionIdOf(two), { reason: 'ended_by_owner' }],
      ['password_check_failed', null, null],
      ['password_changed', sessionIdOf(one), { sessions: 3 }],
      ['login_failed', null, null],
      ['login', sessionIdOf(again), null],
      ['logout', sessionIdOf(again), { scope: 'others', sessions: 1 }],
      ['logout', sessionIdOf(again), { scope: 'session', sessions: 1 }],
      ['login', sessionIdOf(last), null],
      ['account_deleted', sessionIdOf(last), null]
    ]
  }
}

const storages = shareStorages(t)

t.test('each act is recorded with its type, user, session, address and time, and without a secret', t => storages(t, async (t, app) => {
  const { id, secrets, expected } = await liveALife(app)
  t.same(
    await eventsOf(app, id),
    expected.map(([type, sessionId, details]) => ({
      type, actor_id: null, session_id: sessionId, ip: '127.0.0.1', details, count: 1
    }))
  )
  t.same(
    await query(app, 'select 1 from security_events where abs(extract(epoch from clock_timestamp() - at)) > 120'),
    [],
    'just now'
  )
  t.same((await everyRow(app)).filter(row => secrets.some(secret => row.includes(secret))), [])
}))

t.test('the log has the same security events in one form, and no secret', async t => {
  const log = keepLog()
  const app = await build(t, await serversEnv(t), log.logger)
  const { id, secrets, expected } = await liveALife(app)
  const logged = log.lines().map(line => line['event'] as Row | undefined).filter(event => event?.['user_id'] === id)
  t.same(
    logged,
    expected.map(([type, sessionId, details]) => ({
      type, user_id: id, actor_id: null, session_id: sessionId, ip: '127.0.0.1', ...details !== null && { details }
    }))
  )
  const admin = await signUpAdmin(app)
  const { id: other } = await signUp(app)
  await send(app, `DELETE /users/${other}/sessions`, { token: admin.token })
  t.same(log.lines().findLast(line => line['event'] !== undefined)?.['event'], {
    type: 'sessions_revoked',
    user_id: other,
    actor_id: admin.id,
    session_id: null,
    ip: '127.0.0.1',
    details: { sessions: 1, by: 'admin' }
  })
  t.same([...secrets, admin.token].filter(secret => log.text().includes(secret)), [])
})

t.test('the log has addresses in the same form as the table', async t => {
  const log = keepLog()
  const app = await build(t, await serversEnv(t), log.logger)
  const { id, username } = await register(app)
  for (const [address, typed] of [
    ['::ffff:192.0.2.9', password],
    ['2001:DB8:0:0::1', password],
    ['fe80::1%eth0', 'a wrong pass phrase'],
    ['nowhere', password]
  ] as const) {
    await send(app, 'POST /login', { body: { username, password: typed }, remoteAddress: address })
  }
  const logged = log
    .lines()
    .map(line => line['event'] as Row | undefined)
    .filter(event => event?.['user_id'] === id && event['type'] !== 'registered')
  t.same(logged.map(event => event?.['ip']), ['192.0.2.9', '2001:db8::1', 'fe80::1', null])
})

t.test('an ending that finds no session is recorded, but a mere repetition is not', t => storages(t, async (t, app) => {
  const { id: adminId, token: admin } = await signUpAdmin(app)
  const { id, sessions } = await signUpWithSessions(app, 1)
  const { access_token: mine, refresh_token: refreshToken } = sessions[0] as Pair
  const { id: neverSignedIn } = await register(app)
  const since = (await query(app, 'select max(position) as position from security_events'))[0]?.['position']
  await send(app, 'POST /logout?scope=others', { token: mine })
  for (let time = 0; time < 3; time++) {
    await send(app, 'POST /logout?scope=all', { body: { refresh_token: refreshToken } })
  }
  await send(app, 'POST /logout', { body: { refresh_token: refreshToken } })
  await send(app, `DELETE /users/${neverSignedIn}/sessions`, { token: admin })
  await send(app, 'POST /revocations', { token: admin, body: { subject: neverSignedIn } })
  await send(app, 'POST /revocations', { token: admin, body: { sid: sessionIdOf(sessions[0] as Pair) } })
  const byAdmin = (userId: string) => ({
    type: 'sessions_revoked', user_id: userId, actor_id: adminId, details: { sessions: 0, by: 'admin' }
  })
  t.same(
    await query(
      app,
      `select type, user_id, actor_id, details from security_events where position > ${String(since)} order by position`
    ),
    [
      { type: 'logout', user_id: id, actor_id: null, details: { scope: 'others', sessions: 0 } },
      { type: 'logout', user_id: id, actor_id: null, details: { scope: 'all', sessions: 1 } },
      byAdmin(neverSignedIn),
      byAdmin(neverSignedIn),
      byAdmin(id)
    ]
  )
}))

t.test('an act and its security event happen together or not at all', t => storages(t, async (t, app) => {
  const { id, pair: mine } = await signUp(app)
  const pair = mine
  const before = await eventsOf(app, id)
  const acts = {
    logout: () => send(app, 'POST /logout?scope=all', { token: pair.access_token }),
    refresh: () => refresh(app, pair.refresh_token),
    'a new password': () =>
      send(app, 'PUT /me/password', {
        token: pair.access_token, body: { current_password: password, new_password: newPassword }
      }),
    deletion: () => send(app, 'DELETE /me', { token: pair.access_token, body: { password } })
  }
  await query(app, "create function refuse() returns trigger language plpgsql as 'begin raise exception $$No.$$; end'")
  const failing = {
    'the commit of the act':
      'create constraint trigger refused after update on sessions deferrable initially deferred for each row execute function refuse()',
    'the recording': 'create trigger refused before insert on security_events for each row execute function refuse()'
  }
  for (const [what, trigger] of Object.entries(failing)) {
    // A new password of somebody with one session touches no session.
    const touching = Object.entries(acts).filter(([name]) => what === 'the recording' || name !== 'a new password')
    await query(app, trigger)
    const trips = await recordTrips(app, async () => {
      for (const [name, act] of touching) expectError(t, await act(), 500, 'internal_error', `${what} of ${name} fails`)
    })
    await query(app, `drop trigger refused on ${what === 'the recording' ? 'security_events' : 'sessions'}`)
    t.same(trips, [], 'nothing is revoked')
    t.same(await eventsOf(app, id), before, 'nothing is recorded')
    t.ok(await isAccepted(app, pair))
  }
  t.equal((await refresh(app, pair.refresh_token)).statusCode, 200, 'and nothing has happened')
}))

/** Returns the plan of the search for known places, with the rows that Postgres visited. */
async function explainKnownPlace (app: FastifyInstance, userId: string): Promise<string> {
  let plan = ''
  const db = {
    execute: async (statement: object) => {
      const { rows } = (await app.database.run(db =>
        db.execute(sql`explain (analyze, timing off) ${statement}`)
      )) as unknown as { rows: Row[] }
      plan = rows.map(row => row['QUERY PLAN']).join('\n')
      return { rows }
    }
  }
  const database = { ...app.database, run: (work: (given: never) => unknown) => work(db as never) }
  await createEventRepository(database as typeof app.database, () => {}).hasSignedInFrom(userId, '198.51.100.1')
  return plan
}

t.test('the search for a known place reads as few rows for a long history as for no history', t => storages(t, async (t, app) => {
  const { id } = await signUp(app)
  await query(
    app,
    `insert into security_events (type, user_id, ip, at) select 'refresh', '${id}', '203.0.113.7', now() from generate_series(1, 3000)`
  )
  await query(
    app,
    `insert into sessions select (jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(), 'ended_at', now(),
    'refresh_token_hash', '\\x' || md5(n::text)))).* from sessions s, generate_series(1, 3000) n where user_id = '${id}'`
  )
  for (const table of ['security_events', 'sessions']) await query(app, `analyze ${table}`)
  const plan = await explainKnownPlace(app, id)
  t.notMatch(plan, /Removed by Filter: \d{2}/, plan)
  t.match(plan, 'security_events_by_place')
  t.match(plan, 'sessions_by_place')
}))
