import { sql } from 'drizzle-orm'
import pg from 'pg'
import t, { type Test } from 'tap'
import type { Database } from '../../src/db/database.ts'
import { openPostgres } from '../../src/db/postgres/postgres.ts'
import { OutageError, StartupError } from '../../src/errors.ts'
import { build, serversEnv } from '../support/app.ts'
import { signIn, signUp } from '../support/people.ts'
import { pgBouncerTo } from '../support/pgbouncer.ts'
import { get, logOut, outcome, refresh } from '../support/requests.ts'
import { scratchDatabase } from '../support/services.ts'
import { until } from '../support/wait.ts'

const deadlineMs = 20_000
const deadlines = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']
/** A setting that many guides advise. PgBouncer then accepts the parameters, and forgets them. */
const ignoring = { ignore_startup_parameters: deadlines.join(',') }
const modes: Array<Record<string, string>> = [
  { pool_mode: 'session' },
  { pool_mode: 'session', ...ignoring },
  { pool_mode: 'transaction' },
  { pool_mode: 'transaction', ...ignoring }
]

/** Reads everything that a session of Postgres can hold beyond the end of a transaction. */
const leftInSession = `select (select count(*) from pg_prepared_statements) as statements,
  (select count(*) from pg_listening_channels()) as channels,
  (select count(*) from pg_class where relpersistence = 't') as temporary,
  (select array(select name from pg_settings where source = 'session' and name not in ('application_name', 'client_encoding'))) as settings,
  (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks`

async function open (t: Test, url: string): Promise<Database> {
  const database = await openPostgres({ url, deadlineMs })
  t.teardown(() => database.close())
  return database
}

/** Returns the error of opening; undefined if it succeeds. */
function failureToOpen (url: string): Promise<unknown> {
  return openPostgres({ url, deadlineMs: 5_000 }).then(() => undefined, (error: unknown) => error)
}

async function clientOf (t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  return client
}

async function settingsOf (run: Database['run']): Promise<unknown[]> {
  const { rows } = (await run(db =>
    db.execute(sql.raw(`select ${deadlines.map(name => `current_setting('${name}') as ${name}`).join()}`))
  )) as unknown as { rows: object[] }
  return Object.values(rows[0] ?? {})
}

for (const settings of modes) {
  const title = `${settings['pool_mode']}${'ignore_startup_parameters' in settings ? ', ignoring parameters' : ''}`

  t.test(`PgBouncer (${title}): ten replicas start at once, twice, and leave no lock or setting`, async t => {
    const direct = await scratchDatabase(t)
    const url = await pgBouncerTo(t, direct, settings)
    for (const round of ['on an empty database', 'again']) {
      const opened = await Promise.all(Array.from({ length: 10 }, () => openPostgres({ url, deadlineMs })))
      const [database] = opened
      t.same(database && await settingsOf(database.run), ['20s', '20s', '20s'], round)
      t.same(database && await settingsOf(database.transaction), ['20s', '20s', '20s'])
      await t.rejects(
        database?.transaction(async () => { throw new Error('the work changed its mind') }) as Promise<unknown>,
        { message: 'the work changed its mind' }
      )
      await Promise.all(opened.map(database => database.close()))
    }
    // Another application would get the connections that signout has used.
    t.same((await (await clientOf(t, url)).query(`show ${deadlines[0]}`)).rows, [{ statement_timeout: '0' }])
    const { rows } = await (
      await clientOf(t, direct)
    ).query(
      "select * from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())"
    )
    t.same(rows, [])
  })

  if ('ignore_startup_parameters' in settings) continue

  t.test(`PgBouncer (${title}): a token is refused on the other replica after its logout`, async t => {
    const env = await serversEnv(t)
    // One connection to Postgres for everything: code that holds it and needs another one waits for ever.
    const one: Record<string, string> = settings['pool_mode'] === 'transaction' ? { default_pool_size: '1' } : {}
    const DATABASE_URL = await pgBouncerTo(t, String(env['DATABASE_URL']), { ...settings, ...one })
    const a = await build(t, { ...env, DATABASE_URL })
    const b = await build(t, { ...env, DATABASE_URL })
    const { username } = await signUp(a)
    const pair = await signIn(b, username)
    const next = (await refresh(a, pair.refresh_token)).json()
    t.equal(outcome(await get(b, '/me', next.access_token)), '200')
    t.equal(outcome(await logOut(a, next.access_token)), '200')
    for (const app of [a, b]) t.equal(outcome(await get(app, '/me', next.access_token)), '401 token_revoked')
    t.equal(
      outcome(await refresh(b, next.refresh_token)), '401 token_revoked'
    )
    const { rows: [left] } = await (await clientOf(t, DATABASE_URL)).query(leftInSession)
    t.same(
      left,
      { statements: '0', channels: '0', temporary: '0', settings: [], locks: '0' },
      'nothing is left in the session'
    )
  })
}

t.test('a query is wrapped in a transaction only where the connections do not keep the deadlines', async t => {
  const direct = await scratchDatabase(t)
  // A statement that begins its transaction has the same instant for both.
  const isAlone = async (database: Database) => {
    const { rows } = (await database.run(db =>
      db.execute(sql`select now() = statement_timestamp() as alone`)
    )) as unknown as { rows: object[] }
    return rows
  }
  t.same(await isAlone(await open(t, direct)), [{ alone: true }], 'without a pooler')
  const url = await pgBouncerTo(t, direct, { pool_mode: 'transaction', ...ignoring })
  const wrapping = await open(t, url)
  t.match(wrapping.description, 'through a pooler that does not keep settings')
  t.same(await isAlone(wrapping), [{ alone: false }], 'a pooler that forgets them')
  const administrator = await clientOf(t, direct)
  for (const name of deadlines) {
    await administrator.query(
      `alter role current_user in database ${new URL(direct).pathname.slice(1)} set ${name} = ${deadlineMs}`
    )
  }
  const kept = await open(t, await pgBouncerTo(t, direct, { pool_mode: 'transaction', ...ignoring }))
  t.same(await isAlone(kept), [{ alone: true }], 'they are set for the role')
  t.same(await settingsOf(kept.run), ['20s', '20s', '20s'])
})

t.test('replicas use no connection of the pooler while they wait for the migrations of another one', async t => {
  const direct = await scratchDatabase(t)
  const url = await pgBouncerTo(t, direct, { pool_mode: 'transaction', default_pool_size: 2 })
  const migrating = await clientOf(t, direct)
  // As the first release locks: in a session.
  await migrating.query('select pg_advisory_lock(7366719)')
  const opening = Promise.all(Array.from({ length: 5 }, () => open(t, url)))
  const observer = await clientOf(t, url)
  const waitingUntil = performance.now() + 300
  while (performance.now() < waitingUntil) {
    const { rows } = await observer.query("select from pg_locks where locktype = 'advisory' and not granted")
    t.same(rows, [])
  }
  t.same((await migrating.query("select to_regclass('users') as found")).rows, [{ found: null }], 'they wait')
  await migrating.query('select pg_advisory_unlock(7366719)')
  t.equal((await opening).length, 5)
})

t.test('a pooler in statement mode is refused with its own error message', async t => {
  const url = await pgBouncerTo(t, await scratchDatabase(t), { pool_mode: 'statement' })
  const error = await failureToOpen(url)
  t.type(error, StartupError)
  t.notOk(error instanceof OutageError)
  t.match((error as Error).message, 'transaction blocks not allowed in statement pooling mode')
})

t.test('a PgBouncer without a free connection counts as an outage, which may end', async t => {
  const direct = await scratchDatabase(t)
  const full = await pgBouncerTo(t, direct, { max_client_conn: 1 })
  await until('somebody has the only one', () => clientOf(t, full).then(() => true, () => false))
  t.ok(await failureToOpen(full) instanceof OutageError, 'max_client_conn')
  const busy = await pgBouncerTo(t, direct, { pool_mode: 'transaction', default_pool_size: 1, query_wait_timeout: 3 })
  const holder = await clientOf(t, busy)
  await holder.query('begin')
  t.ok(await failureToOpen(busy) instanceof OutageError, 'query_wait_timeout')
})
