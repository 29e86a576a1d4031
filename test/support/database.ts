import { sql } from 'drizzle-orm'
import type { FastifyInstance } from 'fastify'

export type Row = Record<string, unknown>

/** Runs a statement on the database of the app, past the service. */
export async function query<R = Row> (app: FastifyInstance, statement: string): Promise<R[]> {
  const { rows } = await app.database.run(db => db.execute(sql.raw(statement))) as unknown as { rows: R[] }
  return rows
}

/** Returns a row while a projector waits for transactions that add revocations. It looks for them again and again. */
export const projectorWaiting = `select 1 from pg_stat_activity where datname = current_database()
  and pid <> pg_backend_pid() and state <> 'idle' and query like '%virtualtransaction%'`

const instants = {
  sessions: [
    'created_at', 'last_used_at', 'expires_at', 'max_expires_at', 'ended_at', 'rotated_at', 'access_expires_at',
    'access_token_issued_at', 'access_token_expires_at'
  ],
  spent_refresh_tokens: ['spent_at'],
  wrong_passwords: ['ends_at'],
  security_events: ['at']
}

/**
 * Makes sessions and events older, instead of waiting: the clock of Postgres decides. Access tokens do not become
 * older.
 */
export async function letTimePass (app: FastifyInstance, seconds: number): Promise<void> {
  // A second would have passed, after which every use of a token is noted.
  await app.firstUses.flush()
  for (const [table, columns] of Object.entries(instants)) {
    await query(
      app,
      `update ${table} set ${columns.map(column => `${column} = ${column} - interval '${seconds} seconds'`).join(', ')}`
    )
  }
}

/**
 * Returns every row of every table, each as one text with bytes in hexadecimal. Without the lease of the projector,
 * which is renewed all the time.
 */
export async function everyRow (app: FastifyInstance): Promise<string[]> {
  const tables = await query<{ name: string }>(
    app,
    "select table_name as name from information_schema.tables where table_schema = 'public' and table_name <> 'projector_lease'"
  )
  const rows: string[] = []
  for (const { name } of tables) {
    for (const { row } of await query<{ row: string }>(app, `select r::text as row from "${name}" r`)) {
      rows.push(`${name}: ${row}`)
    }
  }
  return rows
}

/**
 * Counts the UPDATE statements of the work that change a session which has ended or ends, with a trigger in the
 * database. The janitor may run at the same time, and finds nothing to change. Notes of used tokens change live
 * sessions.
 */
export async function countSessionUpdates (app: FastifyInstance, work: () => Promise<unknown>): Promise<number> {
  await query(app, 'create table counted (n int)')
  await query(
    app,
    "create function count_one() returns trigger language plpgsql as 'begin insert into counted select 1 from changed where ended_at is not null limit 1; return null; end'"
  )
  await query(
    app,
    'create trigger counted after update on sessions referencing new table as changed for each statement execute function count_one()'
  )
  await work()
  const counted = await query(app, 'select n from counted')
  await query(app, 'drop trigger counted on sessions')
  await query(app, 'drop function count_one()')
  await query(app, 'drop table counted')
  return counted.length
}

/** Returns a session as it is stored. Throws if it is missing. */
export async function sessionRow (app: FastifyInstance, id: unknown): Promise<Row> {
  const [row] = await query(app, `select * from sessions where id = '${String(id)}'`)
  if (row === undefined) throw new Error(`There is no session ${String(id)}.`)
  return row
}
