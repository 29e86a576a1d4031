import { sql } from 'drizzle-orm'
import pg from 'pg'
import t, { type Test } from 'tap'
import { build, serversEnv, type Env } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { password, signUp } from '../support/people.ts'
import { proxyTo } from '../support/proxy.ts'
import { onPostgres } from '../support/record.ts'
import { get, logOut, outcome, send } from '../support/requests.ts'
import { timed, until } from '../support/wait.ts'
import { untilLoggedOut } from './patience.ts'
import { postgresRows } from './rows/postgres.ts'

const deadlineMs = 2500

/** Builds the app with a proxy between it and Postgres, which can stall. Returns both, and the log. */
async function appBehindProxy (t: Test) {
  const env = await serversEnv(t)
  const url = new URL(String(env['DATABASE_URL']))
  const proxy = await proxyTo(t, url.hostname, Number(url.port || 5432))
  url.hostname = '127.0.0.1'
  url.port = String(proxy.port)
  const lines: string[] = []
  const app = await build(t, { ...env, DATABASE_URL: url.href, DATABASE_DEADLINE_MS: String(deadlineMs) }, {
    level: 'info',
    stream: {
      write: line => { lines.push(line) }
    }
  })
  return { app, proxy, log: () => lines.join('') }
}

testFault(t, postgresRows.unreachable, async t => {
  const { app, proxy, log } = await appBehindProxy(t)
  const ada = await signUp(app, 'ada')

  proxy.stall()
  const newcomer = { username: 'grace', password: 'a password that must not be logged' }
  // At once, because each waits for the deadline.
  const outcomes = await Promise.all(Object.entries({
    'GET /me': () => get(app, '/me', ada.token),
    'POST /login': () => send(app, 'POST /login', { body: { username: 'ada', password } }),
    'POST /register': () => send(app, 'POST /register', { body: newcomer })
  }).map(async ([name, request]) => ({ name, ...await timed(request) })))
  for (const { name, value, elapsedMs } of outcomes) {
    t.equal(value?.statusCode, 503, name)
    t.equal(value?.json().error, 'service_unavailable', name)
    t.equal(value?.headers['retry-after'], '1', name)
    t.ok(elapsedMs < 10 * deadlineMs, `${name}: within ${Math.round(elapsedMs)} ms`)
  }
  const { value: many, elapsedMs } = await timed(() =>
    Promise.all(Array.from({ length: 50 }, () => get(app, '/me', ada.token)))
  )
  t.ok(many?.every(answer => answer.statusCode === 503), 'more requests than connections')
  t.ok(elapsedMs < 20 * deadlineMs, `within ${Math.round(elapsedMs)} ms`)

  t.equal((await get(app, '/token', ada.token)).statusCode, 200, 'a token is checked without the database')
  t.equal((await get(app, '/health/live')).statusCode, 200)
  const ready = await get(app, '/health/ready')
  t.equal(ready.statusCode, 503)
  t.same(ready.json(), { error: 'service_unavailable', description: 'Not ready: database.' })

  proxy.resume()
  await until('it answers again', async () => (await get(app, '/me', ada.token)).statusCode === 200)
  t.equal((await get(app, '/health/ready')).statusCode, 200)

  t.match(log(), 'The database cannot be reached')
  t.notMatch(log(), newcomer.password)
  t.notMatch(log(), '$argon2id$', 'no password hash is logged')
  t.notMatch(log(), ada.token)
})

t.test('DATABASE_DEADLINE_MS bounds statements, locks and idle transactions on the server as well', async t => {
  const env = await serversEnv(t)
  const app = await build(t, { ...env, DATABASE_DEADLINE_MS: '2500' })
  await signUp(app, 'ada')
  for (const setting of ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']) {
    const { rows } = await app.database.run(db => db.execute(sql.raw(`show ${setting}`))) as unknown as {
      rows: Array<Record<string, string>>
    }
    t.equal(rows[0]?.[setting], '2500ms')
  }
  const other = new pg.Client({ connectionString: env['DATABASE_URL'] })
  await other.connect()
  t.teardown(() => other.end())
  await other.query('begin')
  await other.query('lock table users in access exclusive mode')
  const [{ value, elapsedMs }] = await Promise.all([
    timed(() => send(app, 'POST /login', { body: { username: 'ada', password } })),
    t.rejects(
      app.database.run(db => db.execute(sql`select pg_sleep(60)`)), { code: 'service_unavailable' }, 'a statement'
    )
  ])
  t.equal(value?.statusCode, 503, 'a lock')
  t.ok(elapsedMs >= 2_400, 'it waited for as long as it was told')
  await other.query('rollback')
  t.equal((await send(app, 'POST /login', { body: { username: 'ada', password } })).statusCode, 200)
})

testFault(t, postgresRows.connectionReset, async t => {
  const { app, proxy } = await appBehindProxy(t)
  const ada = await signUp(app, 'ada')
  const uncaught: Error[] = []
  const note = (error: Error) => { uncaught.push(error) }
  process.on('uncaughtExceptionMonitor', note)
  t.teardown(() => process.off('uncaughtExceptionMonitor', note))
  for (const statement of [sql`select 1`, sql`select pg_sleep(0.2)`]) {
    await t.rejects(app.database.transaction(async db => {
      const asked = db.execute(statement)
      await new Promise(resolve => setTimeout(resolve, 100))
      proxy.reset()
      await asked
      await new Promise(resolve => setTimeout(resolve, 100))
      await db.execute(sql`select 1`)
    }), { code: 'service_unavailable' })
  }
  t.same(uncaught, [])
  await until('the other connections work', async () => (await get(app, '/me', ada.token)).statusCode === 200)
})

/** Closes all other connections to the database, and selects the processes of Postgres that served them. */
const closeOthers =
  'select pid, pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()'

testFault(t, postgresRows.connectionsClosed, async t => {
  const env = await serversEnv(t)
  const lines: string[] = []
  const app = await build(t, env, { level: 'debug', stream: { write: line => { lines.push(line) } } })
  const ada = await signUp(app, 'ada')
  const isNoticed = () => lines.some(line => line.includes('A connection to Postgres was lost.'))
  // Again and again: the loss of a connection in use is not this line, but the error of its statement.
  await until('the loss of an idle connection is noticed', async () => {
    if (isNoticed()) return true
    await onPostgres(env, closeOthers)
    return false
  }, undefined, 200)
  // The loss of other connections may be noticed later, by a request.
  const said = new Set<string>()
  await until('requests get the usual answers', async () =>
    said.add(outcome(await get(app, '/me', ada.token))).has('200'))
  said.delete('503 service_unavailable')
  t.same([...said], ['200'])
})

/** Changes a setting of the database and closes all connections, as a failover does. */
async function failOver (env: Env, setting: string): Promise<void> {
  const database = new URL(String(env['DATABASE_URL'])).pathname.slice(1)
  await onPostgres(env, `begin read write; alter database "${database}" ${setting}; commit`)
  const closed = await onPostgres<{ pid: number }>(env, closeOthers)
  const left = 'select 1 from pg_stat_activity where pid = any ($1)'
  await until('the connections are closed', async () =>
    (await onPostgres(env, left, [closed.map(({ pid }) => pid)])).length === 0)
}

testFault(t, postgresRows.readOnly, async t => {
  const env = await serversEnv(t)
  const lines: string[] = []
  const app = await build(t, env, {
    level: 'info',
    stream: {
      write: line => { lines.push(line) }
    }
  })
  const ada = await signUp(app, 'ada')
  const readiness = async () => (await get(app, '/health/ready')).json()
  t.same(await readiness(), { status: 'ok' })

  await failOver(env, 'set default_transaction_read_only = on')
  await until('reading works', async () => (await get(app, '/me', ada.token)).statusCode === 200)
  t.same(await readiness(), { error: 'service_unavailable', description: 'Not ready: database.' })
  t.match(lines.join(''), 'Postgres is unavailable.', 'its reason may be the loss of a connection, which comes first')
  await until('a write is refused because Postgres is read-only, and not for a lost connection', async () => {
    const error = await app.database.run(db => db.execute(sql`delete from users`)).then(() => undefined, error => error)
    t.match(error, { code: 'service_unavailable' })
    return /SQLSTATE 25006/.test(error?.cause?.message)
  })
  t.equal((await logOut(app, ada.token)).statusCode, 503)

  await failOver(env, 'reset default_transaction_read_only')
  await until('it is ready again', async () => (await readiness()).status === 'ok')
  await untilLoggedOut(app, ada.token)
})
