import { readdirSync } from 'node:fs'
import { DrizzleQueryError } from 'drizzle-orm/errors'
import { sql } from 'drizzle-orm'
import type pg from 'pg'
import t from 'tap'
import { isOutage } from '../../src/db/postgres/outage.ts'
import { toDatabaseError } from '../../src/db/database-errors.ts'
import { applyMigrations } from '../../src/db/migrator.ts'
import { migrationsFolder } from '../../src/db/migrations-folder.ts'
import { createPool } from '../../src/db/postgres/pool.ts'
import { createPostgresTransaction } from '../../src/db/postgres/transaction.ts'
import { openPostgres } from '../../src/db/postgres/postgres.ts'
import { OutageError, StartupError } from '../../src/errors.ts'
import { proxyTo } from '../support/proxy.ts'
import { postgresUrl, scratchDatabase } from '../support/services.ts'

t.test('ten replicas that open an empty database at the same instant migrate it once', async t => {
  const url = await scratchDatabase(t)
  const opened = await Promise.all(Array.from({ length: 10 }, () => openPostgres({ url, deadlineMs: 5_000 })))
  t.teardown(() => Promise.all(opened.map(database => database.close())))
  const { rows } = (await opened[0]?.run(db =>
    db.execute(sql`select count(*) from drizzle.__drizzle_migrations`)
  )) as unknown as { rows: Array<{ count: string }> }
  const files = readdirSync(migrationsFolder).filter(name => name.endsWith('.sql'))
  t.equal(Number(rows[0]?.count), files.length)
})

t.test('a replica gives up waiting for a migration lock of another process, and names the lock', async t => {
  const url = await scratchDatabase(t)
  const pools = [1, 2].map(() =>
    createPool({ url, name: 'test', max: 1, connectDeadlineMs: 5_000, answerDeadlineMs: 5_000 })
  )
  t.teardown(() => Promise.all(pools.map(pool => pool.end())))
  await pools[0]?.query('select pg_advisory_lock(7366719)')
  await t.rejects(applyMigrations(createPostgresTransaction(pools[1] as pg.Pool), 50), {
    message: /another process has held the advisory lock 7366719/
  })
})

t.test('errors of the Postgres driver are classified as outage or as refusal', async t => {
  const failed = (code: string | undefined) =>
    toDatabaseError(
      new DrizzleQueryError('select $1', ['a parameter'], Object.assign(new Error('the cause'), { code }))
    )
  for (const code of [
    undefined, 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', '08006', '25006', '25P03', '28P01', '3D000', '40001',
    '40P01', '53300', '55P03', '57014', '57P01', '58000'
  ]) {
    t.match(failed(code), { code: 'service_unavailable' }, String(code))
  }
  for (const code of ['22P02', '23505', '42P01', '0A000', 'XX000']) {
    t.match(failed(code), { name: 'DatabaseError', sqlState: code }, code)
  }
  t.notMatch(String((failed('23505') as Error).message), 'a parameter')
  const other = new TypeError('not from the driver')
  t.equal(toDatabaseError(other), other)
})

t.test('a Postgres that is unreachable now is distinguished from one with wrong settings', async t => {
  const failed = (fields: object) =>
    new DrizzleQueryError('select $1', [], Object.assign(new Error('the cause'), fields))
  for (const code of ['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', '53300', '57P01', '57P03']) {
    t.ok(isOutage(failed({ code })), code)
  }
  for (const code of [
    'ENOTFOUND', 'EAI_AGAIN', 'ENOENT', 'CERT_HAS_EXPIRED', '28P01', '28000', '3D000', '42501', '42P07', '57014'
  ]) {
    t.notOk(isOutage(failed({ code })), code)
  }
  t.ok(isOutage(failed({ code: 'ENOENT', syscall: 'connect' })), 'the socket file of a server that is stopped')
  const refused = Object.assign(new Error(), { code: 'ECONNREFUSED' })
  t.ok(isOutage(new AggregateError([refused])), 'a host with several addresses')
  const fromPgBouncer = (message: string) => isOutage(failed({ code: '08P01', message }))
  // The words of PgBouncer 1.18, and of 1.23 for a Postgres that is down.
  for (const words of [
    'query_wait_timeout',
    'no more connections allowed (max_client_conn)',
    'server login has been failing, try again later (server_login_retry)',
    'server login has been failing, cached error: connect failed (server_login_retry)',
    'server conn crashed?',
    'client_login_timeout (server down)'
  ]) {
    t.ok(fromPgBouncer(words), words)
  }
  for (const words of [
    'database "nowhere" does not exist',
    'no such database: nowhere',
    'unsupported startup parameter: options',
    'transaction blocks not allowed in statement pooling mode'
  ]) {
    t.notOk(fromPgBouncer(words), words)
  }
  t.notOk(isOutage(new Error('SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string')))
})

t.test('the error of opening a Postgres says if waiting may help', async t => {
  const url = new URL(await scratchDatabase(t))
  const messageOf = (url: string, deadlineMs = 1_000) =>
    openPostgres({ url, deadlineMs }).then(
      () => undefined, error => error as Error
    )
  const proxy = await proxyTo(t, url.hostname, Number(url.port || 5432))
  const through = new URL(url)
  through.hostname = '127.0.0.1'
  through.port = String(proxy.port)
  proxy.stall()
  t.type(await messageOf(through.href), OutageError, 'it does not answer')
  proxy.stop()
  t.type(await messageOf(through.href), OutageError, 'it hangs up')
  url.pathname = '/there_is_no_such_database'
  const unknown = await messageOf(url.href, 20_000)
  t.type(unknown, StartupError)
  t.notOk(unknown instanceof OutageError)
})

t.test('an idle connection that breaks does not end the process', async t => {
  const pool = createPool({
    url: await scratchDatabase(t), name: 'test', max: 1, connectDeadlineMs: 5_000, answerDeadlineMs: 5_000
  })
  t.teardown(() => pool.end())
  const { rows: [own] } = await pool.query('select pg_backend_pid() as pid')
  const removed = new Promise(resolve => { pool.once('remove', resolve) })
  const killer = createPool({
    url: postgresUrl(), name: 'test', max: 1, connectDeadlineMs: 5_000, answerDeadlineMs: 5_000
  })
  t.teardown(() => killer.end())
  await killer.query('select pg_terminate_backend($1)', [own.pid])
  await removed
  t.equal((await pool.query('select 1')).rowCount, 1)
})
