import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { build, serversEnv, shareStorages } from '../support/app.ts'
import { recordTrips } from '../support/blocklist.ts'
import { countSessionUpdates, query } from '../support/database.ts'
import { password, signUp, signUpAdmin, type Pair } from '../support/people.ts'
import { get, outcome, send } from '../support/requests.ts'

const onEachStorage = shareStorages(t, {
  MAX_SESSIONS: '1', DATABASE_DEADLINE_MS: '20000', BLOCKLIST_DEADLINE_MS: '5000'
})
const copies = 120
const newPassword = 'a wholly different pass phrase'

/** Copies the session of a user as often as given, without a login for each. */
async function copySession (app: FastifyInstance, userId: string, copies: number): Promise<void> {
  const columns = (
    await query<{ name: string }>(
      app,
      "select column_name as name from information_schema.columns where table_name = 'sessions' and column_name not in ('id', 'refresh_token_hash')"
    )
  ).map(({ name }) => name)
  await query(
    app,
    `insert into sessions (id, refresh_token_hash, ${columns.join(', ')})
    select gen_random_uuid(), sha256(convert_to(gen_random_uuid()::text, 'UTF8')), ${columns.join(', ')} from (select * from sessions where user_id = '${userId}' limit 1) as one, generate_series(1, ${copies})`
  )
}

interface Act {
  act: (id: string, mine: Pair) => Promise<{ statusCode: number }>
  ended: number
  updates?: number
}

/** Acts that end many sessions at once. */
const actsOf = (app: FastifyInstance, admin: string): Record<string, Act> => ({
  'a logout of all': {
    act: (_, mine) => send(app, 'POST /logout?scope=all', { token: mine.access_token }), ended: copies + 1
  },
  'a logout of the others': {
    act: (_, mine) => send(app, 'POST /logout?scope=others', { token: mine.access_token }), ended: copies
  },
  'a new password': {
    act: (_, mine) =>
      send(app, 'PUT /me/password', {
        token: mine.access_token, body: { current_password: password, new_password: newPassword }
      }),
    ended: copies + 1
  },
  // A second UPDATE deletes the places of the sessions.
  'the deletion of an account': {
    act: (_, mine) => send(app, 'DELETE /me', { token: mine.access_token, body: { password } }),
    ended: copies + 1,
    updates: 2
  },
  'another role': {
    act: id => send(app, `PUT /users/${id}/role`, { token: admin, body: { role: 'admin' } }),
    ended: copies + 1
  },
  'another status': {
    act: id => send(app, `PUT /users/${id}/status`, { token: admin, body: { status: 'disabled' } }), ended: copies + 1
  },
  'a revocation by subject': {
    act: id => send(app, 'POST /revocations', { token: admin, body: { subject: id } }), ended: copies + 1
  }
})

t.test('the end of many sessions takes one trip to the blocklist and one UPDATE, a deletion two', t => onEachStorage(t, async (t, app) => {
  const { token: admin } = await signUpAdmin(app)
  for (const [name, { act, ended, updates = 1 }] of Object.entries(actsOf(app, admin))) {
    const { id, pair: mine } = await signUp(app)
    await copySession(app, id, copies)
    let trips: unknown[][] = []
    const counted = await countSessionUpdates(app, async () => {
      trips = await recordTrips(app, async () => { t.ok((await act(id, mine)).statusCode < 300, name) })
    })
    t.equal(counted, updates, name)
    t.equal(trips.length, 1, name)
    t.equal(
      (await query(app, `select 1 from sessions where user_id = '${id}' and ended_at is not null`)).length, ended, name
    )
    const listed = new Set(
      trips
        .flat()
        .filter(revocation => (revocation as { scope: string }).scope === 'session')
        .map(revocation => (revocation as { id: string }).id)
    )
    t.equal(listed.size, ended, name)
  }
}))

t.test('a logout of more sessions than a statement has parameters is recorded, and tokens are refused', t => onEachStorage(t, async (t, app) => {
  const { id, pair: mine } = await signUp(app)
  await copySession(app, id, 14_000)
  const trips = await recordTrips(app, async () => {
    t.equal((await send(app, 'POST /logout?scope=all', { token: mine.access_token })).statusCode, 200)
  })
  t.equal(trips.flat().length, 14_002, 'each session, and the token itself')
  const recorded = await query(
    app,
    `select scope, reason, count(*)::int as count, count(distinct id)::int as ids, min(expires_at) > now() as live from revocations where subject = '${id}' group by 1, 2 order by 1`
  )
  t.same(recorded, [
    { scope: 'session', reason: 'logout', count: 14_001, ids: 14_001, live: true },
    { scope: 'token', reason: 'logout', count: 1, ids: 1, live: true }
  ])
  t.equal((await get(app, '/token', mine.access_token)).json().error, 'token_revoked')
}))

t.test('a login ends 14,001 sessions beyond MAX_SESSIONS', t => onEachStorage(t, async (t, app) => {
  const { id, username, pair: first } = await signUp(app)
  await copySession(app, id, 14_000)
  t.equal((await send(app, 'POST /login', { body: { username, password } })).statusCode, 200)
  t.equal((await query(app, `select 1 from sessions where user_id = '${id}' and ended_at is null`)).length, 1)
  t.same(
    await query(
      app,
      `select count(distinct session_id)::int as count from security_events where type = 'session_ended' and user_id = '${id}'`
    ),
    [{ count: 14_001 }]
  )
  t.equal((await get(app, '/token', first.access_token)).json().error, 'token_revoked')
}))

const live = Number(process.env['EVERYONE_SESSIONS'] ?? 2_000)

t.test(`everyone is out at once with ${live} live sessions, and requests are answered meanwhile (P1)`, async t => {
  const app = await build(t, await serversEnv(t))
  const [admin, { id, pair }] = [await signUpAdmin(app), await signUp(app)]
  const inOneStatement = 50_000
  for (let left = live - 2; left > 0; left -= inOneStatement) await copySession(app, id, Math.min(left, inOneStatement))
  const requests: Array<{ startedAt: number, endedAt: number, answer: string }> = []
  const over = new AbortController()
  const asking = (async () => {
    while (!over.signal.aborted) {
      const startedAt = performance.now()
      const answer = outcome(await get(app, '/token', pair.access_token))
      requests.push({ startedAt, endedAt: performance.now(), answer })
    }
  })()
  const startedAt = performance.now()
  const out = await send(app, 'POST /revocations', { token: admin.token, body: { everyone: true, reason: 'a test' } })
  const answeredAt = performance.now()
  over.abort()
  await asking
  t.same(out.json().everyone, { sessions: live, users: 2 })
  const expected = ['200', '401 token_revoked', '503 revocation_unavailable']
  t.same(requests.filter(({ answer }) => !expected.includes(answer)), [])
  t.same(requests.filter(request => request.startedAt > answeredAt && request.answer === '200'), [])
  t.equal(outcome(await get(app, '/token', pair.access_token)), '401 token_revoked')
  const last = Math.max(startedAt, ...requests.filter(({ answer }) => answer === '200').map(({ endedAt }) => endedAt))
  const slowest = Math.max(...requests.map(({ startedAt, endedAt }) => endedAt - startedAt))
  const ms = (duration: number) => `${duration.toFixed(1)} ms`
  t.comment(`the last token was accepted after ${ms(last - startedAt)}`)
  t.comment(`the answer came after ${ms(answeredAt - startedAt)}`)
  t.comment(`${requests.length} requests meanwhile, the slowest took ${ms(slowest)}`)
})
