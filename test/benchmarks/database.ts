import { readFileSync } from 'node:fs'
import pg from 'pg'
import { ServicesError } from '../../scripts/services/programs.ts'
import { readState } from '../../scripts/services/state.ts'
import { randomName } from '../support/services.ts'

/** A database of the benchmark's own, in the Postgres of `DATABASE_URL` or of `npm run services`. */
export interface BenchDatabase {
  url: string
  query (statement: string): Promise<void>
  /**
   * Returns the processor time of the processes that serve its connections, in microseconds. It counts in steps of a
   * hundredth of a second. Returns NaN if Postgres runs on another machine or in a container.
   */
  usedMicros (): Promise<number>
  /** Returns the bytes that a row of a table takes on disk, with its share of the indexes. */
  bytesPerRow (table: string): Promise<number>
  drop (): Promise<void>
}

export async function createDatabase (): Promise<BenchDatabase> {
  const server = process.env['DATABASE_URL'] || readState().postgres?.url
  if (server === undefined) {
    throw new ServicesError(
      'This part of the benchmark needs a Postgres: run `npm run services` first, or leave it out with --only.'
    )
  }
  const name = `signout_bench_${randomName()}`
  const url = new URL(server)
  url.pathname = `/${name}`
  await query(server, `create database ${name}`)
  return {
    url: url.href,
    query: async statement => { await query(url.href, statement) },
    async usedMicros () {
      const served = await query<{ pid: number }>(
        url.href, 'select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()'
      )
      return served.reduce((sum, { pid }) => sum + microsOf(pid), 0)
    },
    async bytesPerRow (table) {
      const [row] = await query<{ bytes: number }>(
        url.href, `select pg_total_relation_size('${table}')::float8 / count(*) as bytes from ${table}`
      )
      return row?.bytes ?? NaN
    },
    drop: async () => { await query(server, `drop database if exists ${name} with (force)`) }
  }
}

async function query<Row extends pg.QueryResultRow> (url: string, statement: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Row>(statement)).rows
  } finally {
    await client.end()
  }
}

/**
 * Returns the processor time of a process of Postgres, in microseconds. Returns NaN for any other process. Reads fields
 * 14 and 15 of its `stat`, in hundredths of a second: see proc(5). The name before them may contain spaces.
 */
function microsOf (pid: number): number {
  try {
    const [name = '', rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')
    const [user, system] = rest.split(' ').slice(11, 13)
    return name.endsWith('(postgres') ? (Number(user) + Number(system)) * 10_000 : NaN
  } catch {
    return NaN
  }
}
