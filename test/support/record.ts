import pg from 'pg'
import type { Head, RevocationRecord } from '../../src/record/record.ts'
import type { Env } from './app.ts'

/** Runs statements on a database, past the service. */
export async function onPostgres<R extends pg.QueryResultRow> (
  env: Env, statement: string, values: unknown[] = []
): Promise<R[]> {
  const client = new pg.Client({ connectionString: env['DATABASE_URL'] })
  await client.connect()
  try {
    return (await client.query<R>(statement, values)).rows
  } finally {
    await client.end()
  }
}

/** Adds live revocations to the record, of sessions that never existed. */
export async function fillRecord (env: Env, count: number, expiresIn = '1 hour'): Promise<void> {
  await onPostgres(
    env,
    `insert into revocations (scope, id, expires_at, reason, created_at)
    select 'session', gen_random_uuid()::text, now() + $2::interval, 'logout', now() from generate_series(1, $1::int)`,
    [count, expiresIn]
  )
}

/** Returns a record whose end the function reads, and that holds no revocation after any marker. */
export function endingAt (readHead: () => Promise<Head>): Pick<RevocationRecord, 'readHead' | 'readAfter'> {
  return { readHead, readAfter: async () => ({ ...await readHead(), recent: [] }) }
}
