import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { quickHasher } from '../../support/hasher.ts'
import { password, type Account } from '../../support/people.ts'
import { randomName } from '../../support/services.ts'
import type { Recorder } from './recorder.ts'

/** Adds a user with the password of all tests. */
export async function addPerson (databaseUrl: string, role: 'user' | 'admin' = 'user'): Promise<Account> {
  const person = { id: randomUUID(), username: `${role}-${randomName()}` }
  await query(databaseUrl, 'insert into users (id, username, password_hash, role) values ($1, $2, $3, $4)', [
    person.id, person.username, await quickHasher.hash(password, 'here'), role
  ])
  return person
}

/** Reads when sessions ended, by the record, on the clock of the recorder. */
export async function readEnded (databaseUrl: string, recorder: Recorder): Promise<Map<string, number>> {
  const rows = await query<{ id: string, ended_ms: number }>(
    databaseUrl,
    `select sessions.id, (extract(epoch from least(ended_at, everyone.created_at)) * 1000)::float8 as ended_ms
    from sessions left join lateral (
      select min(created_at) as created_at from revocations
      where scope = 'everyone' and issued_before > sessions.created_at
    ) as everyone on true
    where ended_at is not null or everyone.created_at is not null`
  )
  const toRecorders = recorder.now() - Date.now()
  return new Map(rows.map(({ id, ended_ms: endedMs }) => [id, endedMs + toRecorders]))
}

async function query<R extends pg.QueryResultRow> (
  databaseUrl: string, statement: string, values: unknown[] = []
): Promise<R[]> {
  const client = new pg.Client({
    connectionString: databaseUrl, connectionTimeoutMillis: 10_000, query_timeout: 10_000
  })
  client.on('error', () => {
    /* `connect` or `query` rejects with it. */
  })
  await client.connect()
  try {
    return (await client.query<R>(statement, values)).rows
  } finally {
    await client.end()
  }
}
