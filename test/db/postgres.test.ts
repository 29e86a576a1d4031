import { DrizzleQueryError } from 'drizzle-orm/errors'
import { sql } from 'drizzle-orm'
import t from 'tap'
import { toDatabaseError } from '../../src/db/database-errors.ts'
import { openPostgres } from '../../src/db/postgres.ts'
import { scratchDatabase } from '../support/services.ts'

t.test('ten that open an empty database at the same instant migrate it once', async t => {
  const url = await scratchDatabase(t)
  const opened = await Promise.all(Array.from({ length: 10 }, () => openPostgres({ url, deadlineMs: 5_000 })))
  t.teardown(() => Promise.all(opened.map(database => database.close())))
  const { rows } = await opened[0]?.run(db => db.execute(sql`select count(*) from drizzle.__drizzle_migrations`)) as unknown as { rows: Array<{ count: string }> }
  t.match(rows[0]?.count, /^[1-9]$/)
})

t.test('what the driver throws is told apart: cannot answer now, or refused', async t => {
  const failed = (code: string | undefined) => toDatabaseError(new DrizzleQueryError('select $1', ['a parameter'], Object.assign(new Error('the cause'), { code })))
  for (const code of [undefined, 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', '08006', '25006', '25P03', '28P01', '3D000', '40001', '40P01', '53300', '55P03', '57014', '57P01', '58000']) {
    t.match(failed(code), { code: 'service_unavailable' }, String(code))
  }
  for (const code of ['22P02', '23505', '42P01', '0A000', 'XX000']) t.match(failed(code), { name: 'DatabaseError', sqlState: code }, code)
  t.notMatch(String((failed('23505') as Error).message), 'a parameter')
  const other = new TypeError('not from the driver')
  t.equal(toDatabaseError(other), other)
})
