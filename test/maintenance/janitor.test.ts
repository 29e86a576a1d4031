import { EventEmitter, once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import pg from 'pg'
import t from 'tap'
import { createJanitor } from '../../src/maintenance/janitor.ts'
import { build, onEachStorage, serversEnv } from '../support/app.ts'
import { letTimePass, query } from '../support/database.ts'
import { signUp, signUpWithSessions, type Pair } from '../support/people.ts'
import { logOut, refresh } from '../support/requests.ts'
import { sessionIdOf } from '../support/sessions.ts'
import { until } from '../support/wait.ts'

const count = async (app: FastifyInstance, table: string, where = 'true') =>
  (await query(app, `select 1 from ${table} where ${where}`)).length

/** Adds sessions that ended long ago, each with a spent token. */
async function addOldSessions (app: FastifyInstance, sessions: number): Promise<void> {
  await query(
    app,
    `insert into sessions (id, user_id, created_at, last_used_at, expires_at, max_expires_at, access_expires_at, refresh_token_hash, access_token_id, access_token_issued_at, access_token_expires_at)
    select gen_random_uuid(), gen_random_uuid(), long_ago, long_ago, long_ago, long_ago, long_ago, sha256(convert_to(n::text, 'UTF8')), gen_random_uuid(), long_ago, long_ago
    from generate_series(1, ${sessions}) n, (select now() - interval '1 year' as long_ago) l`
  )
  await query(
    app,
    "insert into spent_refresh_tokens (hash, session_id) select sha256(convert_to(id::text, 'UTF8')), id from sessions"
  )
}

t.test('the janitor deletes old sessions, their spent tokens and old security events', t => onEachStorage(t, async (t, app) => {
  const { sessions } = await signUpWithSessions(app, 3)
  const [loggedOut, expiring, alive] = sessions as [Pair, Pair, Pair]
  await refresh(app, loggedOut.refresh_token)
  await logOut(app, loggedOut.access_token)
  const isKept = async (pair: Pair) => await count(app, 'sessions', `id = '${sessionIdOf(pair)}'`) === 1

  await t.test('the janitor keeps ended sessions for SESSION_RETENTION, then deletes them with their tokens', async t => {
    await letTimePass(app, 3500)
    await app.janitor.tidyUp()
    t.same(await Promise.all([loggedOut, expiring, alive].map(isKept)), [true, true, true])
    t.equal(await count(app, 'spent_refresh_tokens'), 1)
    await query(
      app, `update sessions set expires_at = clock_timestamp() + interval '100 days' where id = '${sessionIdOf(alive)}'`
    )
    await query(
      app,
      `update sessions set expires_at = clock_timestamp() - interval '3500 seconds' where id = '${sessionIdOf(expiring)}'`
    )
    await letTimePass(app, 50)
    await app.janitor.tidyUp()
    t.same(await Promise.all([loggedOut, expiring, alive].map(isKept)), [true, true, true])
    await letTimePass(app, 50)
    await app.janitor.tidyUp()
    t.same(
      await Promise.all([loggedOut, expiring, alive].map(isKept)), [false, false, true], 'whether they ended or expired'
    )
    t.equal(await count(app, 'spent_refresh_tokens'), 0)
  })

  await t.test('the janitor keeps a session for as long as one of its access tokens may be accepted', async t => {
    await query(
      app,
      `update sessions set ended_at = clock_timestamp() - interval '1 year', access_expires_at = clock_timestamp() - interval '10 seconds' where id = '${sessionIdOf(alive)}'`
    )
    await app.janitor.tidyUp()
    t.ok(await isKept(alive), 'three leeways included')
    await letTimePass(app, 6)
    await app.janitor.tidyUp()
    t.notOk(await isKept(alive))
  })

  await t.test('the janitor keeps security events for SECURITY_EVENT_RETENTION, and then deletes them', async t => {
    const before = await count(app, 'security_events')
    t.ok(before > 0)
    await query(app, "update security_events set at = clock_timestamp() - interval '7100 seconds'")
    await app.janitor.tidyUp()
    t.equal(await count(app, 'security_events'), before)
    await letTimePass(app, 100)
    await app.janitor.tidyUp()
    t.equal(await count(app, 'security_events'), 0)
  })

  await t.test('the janitor deletes more old rows than a batch has, until none is left', async t => {
    await addOldSessions(app, 1100)
    await query(
      app,
      "insert into security_events (type, at) select 'login', now() - interval '1 year' from generate_series(1, 1100)"
    )
    await app.janitor.tidyUp()
    t.same(
      await Promise.all(['sessions', 'spent_refresh_tokens', 'security_events'].map(table => count(app, table))),
      [0, 0, 0]
    )
  })
}, { SESSION_RETENTION: '3600', SECURITY_EVENT_RETENTION: '7200' }))

t.test('a running service deletes the salt of a refresh once its grace is over', async t => {
  const app = await build(t, { ...await serversEnv(t), REFRESH_GRACE: '60' })
  const { pair } = await signUp(app)
  await refresh(app, pair.refresh_token)
  t.equal(await count(app, 'sessions', 'rotation_salt is not null'), 1)
  await letTimePass(app, 61)
  // The most frequent chore runs about every five seconds.
  await until(
    'the salt is gone',
    async () => await count(app, 'sessions', 'rotation_salt is not null') === 0,
    30_000
  )
  t.equal(await count(app, 'sessions'), 1, 'the session is kept')
})

t.test('a replica deletes nothing while another holds the locks of the chores, and does not wait or fail', async t => {
  const env = await serversEnv(t)
  const app = await build(t, { ...env, SESSION_RETENTION: '0' })
  await addOldSessions(app, 10)
  const another = new pg.Client({ connectionString: String(env['DATABASE_URL']) })
  await another.connect()
  await another.query('begin; select pg_advisory_xact_lock(7366720, number) from generate_series(0, 99) number')
  await app.janitor.tidyUp()
  t.equal(await count(app, 'sessions'), 10)
  await another.query('commit')
  await another.end()
  await app.janitor.tidyUp()
  t.equal(await count(app, 'sessions'), 0)
})

t.test('the janitor deletes at most 500 rows in one batch', async t => {
  const app = await build(t, { ...await serversEnv(t), SESSION_RETENTION: '0' })
  await addOldSessions(app, 1100)
  await query(
    app,
    "insert into security_events (type, at) select 'login', now() - interval '1 year' from generate_series(1, 1100)"
  )
  await query(
    app,
    "insert into revocations (scope, id, expires_at, reason, created_at) select 'token', n, long_ago, 'logout', long_ago from generate_series(1, 1100) n, (select now() - interval '1 year' as long_ago) l"
  )
  await query(
    app,
    "create table batches (table_name text, n int); create function note_batch() returns trigger language plpgsql as 'begin insert into batches select tg_table_name, count(*) from gone; return null; end'"
  )
  const tables = ['sessions', 'spent_refresh_tokens', 'security_events', 'revocations']
  for (const table of tables) {
    await query(
      app,
      `create trigger note after delete on ${table} referencing old table as gone for each statement execute function note_batch()`
    )
  }
  await app.janitor.tidyUp()
  for (const table of tables) {
    const sizes = await query<{ n: number }>(app, `select n from batches where table_name = '${table}' and n > 0`)
    t.same(sizes.map(({ n }) => n), [500, 500, 100], table)
    t.equal(await count(app, table), 0, table)
  }
})

t.test('a failed chore is reported and tried again, and no chore runs once the janitor has stopped', async t => {
  const { database } = await build(t, await serversEnv(t))
  const failures: Array<[string, string]> = []
  let tries = 0
  const chore = {
    name: 'dust',
    everyMs: 1,
    async clearBatch () {
      if (++tries <= 2) throw new Error(`Try ${tries} failed.`)
      return false
    }
  }
  const janitor = createJanitor({
    database, chores: [chore], onFailure: (name, error) => { failures.push([name, (error as Error).message]) }
  })
  janitor.start()
  await until('it was tried again twice', () => tries >= 4)
  t.same(failures, [['dust', 'Try 1 failed.'], ['dust', 'Try 2 failed.']])
  await janitor.stop()
  const done = tries
  await new Promise(resolve => setTimeout(resolve, 30))
  t.equal(tries, done)
})

t.test('the janitor stops with the app: it finishes the current batch, and begins no other', async t => {
  const app = await build(t, await serversEnv(t))
  const events = new EventEmitter()
  const [began, goOn] = [once(events, 'began'), once(events, 'go on')]
  let batches = 0
  const janitor = createJanitor({
    database: app.database,
    chores: [
      {
        name: 'dust',
        everyMs: 1,
        async clearBatch () {
          batches++
          events.emit('began')
          await goOn
          return true
        }
      }
    ],
    onFailure: error => { t.fail(String(error)) }
  })
  janitor.start()
  await began
  let hasStopped = false
  const stopped = janitor.stop().then(() => { hasStopped = true })
  await new Promise(resolve => setImmediate(resolve))
  t.notOk(hasStopped)
  events.emit('go on')
  await stopped
  t.equal(batches, 1)

  let stops = 0
  const { stop } = app.janitor
  app.janitor.stop = async () => { stops++; await stop() }
  await app.close()
  t.equal(stops, 1)
})

t.test('the janitor deletes counts of wrong passwords whose window is over', t => onEachStorage(t, async (t, app) => {
  await query(
    app,
    `insert into wrong_passwords
      select 'user ' || n, 1, clock_timestamp() + n * interval '1 hour' from generate_series(-1, 1, 2) n`
  )
  await app.janitor.tidyUp()
  t.same(await query(app, 'select account from wrong_passwords'), [{ account: 'user 1' }])
}))

t.test('of very many unknown usernames, the janitor forgets those with the fewest wrong passwords', async t => {
  const app = await build(t, await serversEnv(t))
  await query(
    app,
    `insert into wrong_passwords select rpad(n::text, 43, '-'), 1 + n % 2, clock_timestamp() + interval '1 hour'
      from generate_series(1, 100002) n`
  )
  await app.janitor.tidyUp()
  t.equal(await count(app, 'wrong_passwords', 'attempts = 1'), 49_999)
  t.equal(await count(app, 'wrong_passwords', 'attempts = 2'), 50_001)
})
