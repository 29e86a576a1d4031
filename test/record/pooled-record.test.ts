import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import t, { type Test } from 'tap'
import { createPostgresRecord, createRedisBlocklist, postgresRecordSql } from '../../plugins/auth/auth.ts'
import { packageRoot } from '../../src/package-root.ts'
import { openDatabase, openRecord, prefix, token, type RecordDatabase } from '../blocklist/record-scene.ts'
import { redisUrl } from '../support/services.ts'
import { until } from '../support/wait.ts'

/** The record of an app: single statements through a pool. */

/** The advisory lock of the barrier, and one that the tests use to hold up a statement. */
const barrier = 7_366_721
const gate = 42

async function clientOf (t: Test, { url }: RecordDatabase): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** Holds up each statement that adds rows, after it got its positions and before its commit. */
async function holdUpWriters (t: Test, database: RecordDatabase): Promise<{ release (): Promise<unknown> }> {
  const client = await clientOf(t, database)
  await client.query(`create function wait() returns trigger language plpgsql as
    'begin perform pg_advisory_xact_lock_shared(${gate}); return new; end'`)
  await client.query('create trigger wait before insert on signout_revocations for each row execute function wait()')
  await client.query('select pg_advisory_lock($1)', [gate])
  return { release: () => client.query('select pg_advisory_unlock_all()') }
}

const waiting = async ({ pool }: RecordDatabase, lock: number) => Number((await pool.query(
  "select count(*) from pg_locks where locktype = 'advisory' and objid = $1 and not granted", [lock])).rows[0].count)

t.test('the head is settled only after every statement that has a position below it was committed (P2)', async t => {
  const database = await openDatabase(t)
  const record = openRecord(database)
  const writers = await holdUpWriters(t, database)
  const { recordId } = await record.readHead()
  const appended = Promise.all([record.append([token('a')]), record.append([token('b'), token('c')])])
  await until('both have positions, and wait', async () => await waiting(database, gate) === 2)
  t.equal((await record.readHead()).position >= 2, true)
  let settled: number | undefined
  const settling = record.settleHead(recordId).then(async head => {
    settled = head?.position
    return await record.readLive({ after: 0, upTo: head?.position ?? 0 }, 100)
  })
  const lookingForWriters = `select 1 from pg_stat_activity where datname = current_database()
    and pid <> pg_backend_pid() and query like '%virtualtransaction%'`
  await until('the projector waits for them', async () =>
    (await database.pool.query(lookingForWriters)).rows.length > 0)
  t.equal(settled, undefined, 'it waits')
  await writers.release()
  await appended
  const { rows } = await settling
  const ids = rows.map(({ id }) => id)
  t.ok(['a', 'b'].every(id => ids.includes(id)), 'the rows of both are there')
  t.equal(rows.length, settled)
})

t.test('a statement holds the barrier before it takes a position (P2)', async t => {
  const database = await openDatabase(t)
  const record = openRecord(database)
  const client = await clientOf(t, database)
  await client.query('select pg_advisory_lock($1)', [barrier])
  const cutOff = (scope: 'subject' | 'everyone', id: string) => record.appendCutOff(scope, id, 900)
  const appended = [record.append([token('a')]), cutOff('subject', 'ada'), cutOff('everyone', 'everyone')]
  await until('all of them wait for the barrier', async () => await waiting(database, barrier) === 3)
  t.equal((await record.readHead()).position, 0, 'the sequence was not asked')
  await client.query('select pg_advisory_unlock($1)', [barrier])
  await Promise.all(appended)
  t.equal((await record.readHead()).position, 3)
})

t.test('under concurrency, no settled head has a row below it that appears later (P2)', async t => {
  const database = await openDatabase(t)
  const record = openRecord(database)
  const { recordId } = await record.readHead()
  // Each row takes its time between its position and its commit, so that they overtake one another.
  await database.pool.query(`create function linger() returns trigger language plpgsql as
    'begin perform pg_sleep(random() * 0.01); return new; end'`)
  await database.pool.query(
    'create trigger linger before insert on signout_revocations for each row execute function linger()'
  )
  const work = { isOver: false }
  const writers = Array.from({ length: 6 }, async (_, writer) => {
    for (let round = 0; round < 40; round++) {
      await record.append([token(`${writer}-${round}-a`), token(`${writer}-${round}-b`)])
    }
  })
  const seen: Array<{ upTo: number, count: number }> = []
  const reader = (async () => {
    while (!work.isOver) {
      const head = await record.settleHead(recordId)
      const upTo = head?.position ?? 0
      seen.push({ upTo, count: (await record.readLive({ after: 0, upTo }, 5_000)).rows.length })
    }
  })()
  await Promise.all(writers)
  work.isOver = true
  await reader
  t.ok(new Set(seen.map(({ upTo }) => upTo)).size > 3, `${seen.length} heads were settled`)
  for (const { upTo, count } of seen) {
    const { rows } = await record.readLive({ after: 0, upTo }, 5_000)
    if (rows.length !== count) t.equal(rows.length, count, `up to ${upTo}`)
  }
  t.equal((await record.readHead()).position, 480)
})

t.test('a head is not settled when another server answers half-way, or the record has another id (P2)', async t => {
  const database = await openDatabase(t)
  const record = openRecord(database)
  const { recordId } = await record.readHead()
  // After a failover between two statements, another server answers, which started at another time.
  const startedAt = /^\d+\.\d+$/
  const failedOver = createPostgresRecord({
    query: (sql, params) =>
      database.pool.query(sql, params.map(value => startedAt.test(String(value)) ? '1.5' : value))
  }).open(0)
  t.equal(await failedOver.settleHead(recordId), undefined)
  t.match(await record.settleHead(recordId), { recordId })
  const renamed = await Promise.all(Array.from({ length: 5 }, () => record.rename(recordId)))
  t.equal(renamed.filter(Boolean).length, 1, 'one of several at once')
  t.equal(await record.settleHead(recordId), undefined)
  t.equal((await record.listNames()).length, 2)
  t.equal(await record.rename(recordId), false)
})

t.test('the lease belongs to one holder, and rows are pruned once no token of theirs is valid (P6)', async t => {
  const database = await openDatabase(t)
  const record = openRecord(database)
  const [one, other] = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'] as const
  t.same([await record.lease(one, 60), await record.lease(other, 60)], [true, false])
  await record.release(one)
  t.equal(await record.lease(other, 60), true)
  await record.append([token('live'), { ...token('ended'), expiresAt: 1 }])
  await record.append(Array.from({ length: 600 }, (_, index) => token(`t${index}`)))
  await database.pool.query("update signout_revocations set expires_at = 'epoch' where id <> 'live'")
  t.same([await record.prune(), await record.prune()], [true, false])
  t.same((await database.pool.query('select id from signout_revocations')).rows, [{ id: 'live' }])
})

t.test('the tables can be in a schema of their own, and their SQL can be repeated', async t => {
  const database = await openDatabase(t)
  await database.pool.query('create schema auth')
  for (let round = 0; round < 2; round++) await database.pool.query(postgresRecordSql({ schema: 'auth' }))
  // Some libraries return the rows, and not an object with rows.
  const client = { query: async (sql: string, params: unknown[]) => (await database.pool.query(sql, params)).rows }
  const record = createPostgresRecord(client, { schema: 'auth' }).open(0)
  await record.check()
  await record.append([token('a')])
  t.same([(await record.readHead()).position, (await openRecord(database).readHead()).position], [1, 0])
})

t.test('the SQL in docs/plugin-redis.md is that of postgresRecordSql, and makes a record that works', async t => {
  const document = readFileSync(join(packageRoot, 'docs', 'plugin-redis.md'), 'utf8')
  const [, block = ''] = /```sql\n(.*?)```/s.exec(document) ?? []
  const documented = block.split('\n').map(line => line.trimEnd()).join('\n')
  t.equal(documented, postgresRecordSql())
  const database = await openDatabase(t)
  await database.pool.query('drop table signout_revocations, signout_records, signout_projector')
  await database.pool.query(documented)
  const record = openRecord(database)
  await record.check()
  await record.append([token('a')])
  t.equal((await record.readHead()).position, 1)
})

t.test('another database is refused by its name, and missing tables by theirs', async t => {
  const answering = (answer: unknown) => createPostgresRecord({ query: async () => answer }).open(0)
  for (const [version, name] of [
    ['8.0.36', 'MySQL'], ['10.11.6-MariaDB', 'MariaDB'], ['CockroachDB CCL v23.1.0', 'CockroachDB'],
    ['PostgreSQL 11.2-YB-2.18', 'YugabyteDB'], ['PostgreSQL 8.0.2 on i686, Redshift 1.0', 'Amazon Redshift']
  ]) {
    const message = new RegExp(`needs Postgres, and this database is ${name} \\(`)
    await t.rejects(answering({ rows: [{ version }] }).check(), { message }, String(name))
    await t.rejects(answering([[{ version }], []]).check(), { message }, `${name}, as mysql2 returns it`)
  }
  const failing = (message: string) => createPostgresRecord({ query: async () => { throw new Error(message) } }).open(0)
  const sqlite = 'no such function: version'
  await t.rejects(failing(sqlite).check(), { message: /another one \(no such function: version\)/ })
  await t.rejects(failing('connect ECONNREFUSED').check(), { message: 'connect ECONNREFUSED' }, 'an outage is none')
  await t.rejects(answering(undefined).check(), { message: /query\(sql, params\) returned undefined/ })
  const { pool } = await openDatabase(t)
  await pool.query('drop table signout_records')
  const message = /table signout_records is missing: run the SQL/
  await t.rejects(createPostgresRecord(pool).open(0).check(), { message })
  const redis = new Redis(redisUrl(), { lazyConnect: true })
  const mysql = createPostgresRecord({ query: async () => [[{ version: '8.0.36' }], []] })
  const blocklist = createRedisBlocklist({ redis, prefix, record: mysql })
  t.teardown(() => blocklist.close())
  await t.rejects(blocklist.ready(), { code: 'revocation_unavailable', cause: { message: /is MySQL \(8\.0\.36\)/ } })
  await t.rejects(blocklist.revoke([token('a')]), { message: /is MySQL/ }, 'and nothing is revoked')
})

t.test('a wrong argument of createPostgresRecord is a TypeError that says what it must be', async t => {
  for (const [client, options, message] of [
    [undefined, {}, /takes a pool of pg, or an object with query\(sql, params\), and was given undefined/],
    ['postgres://localhost', {}, /was given "postgres/],
    [{ query: () => {} }, 5, /options of createPostgresRecord are 5/],
    [{ query: () => {} }, { schema: 'a"b' }, /schema is "a\\"b"; it must be 1 to 63 letters/],
    [{ query: () => {} }, { deadlineMs: 0 }, /deadlineMs is 0; it must be a number of milliseconds from 1 to 60000/]
  ] as const) {
    t.throws(() => createPostgresRecord(client as never, options as object), { name: 'TypeError', message })
  }
  t.throws(() => createRedisBlocklist({ redis: new Redis({ lazyConnect: true }), prefix, record: 'pg' as never }), {
    name: 'TypeError', message: /record is "pg"; it must be made by createPostgresRecord/
  })
})
