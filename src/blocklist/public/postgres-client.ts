import type { Sql } from '../../db/sql.ts'
import { requireNumber, shown } from '../../input/check-options.ts'
import { createOutstanding } from '../../redis/outstanding.ts'

/**
 * Access to Postgres: a pool of `pg`, or anything else that runs a statement with `$1`, `$2` and so on in place of the
 * values. It must lead to the primary: a standby lags.
 */
export interface PostgresClient {
  /** Runs a statement. Resolves to the rows, or to an object with `rows`. */
  query (sql: string, params: unknown[]): Promise<unknown>
}

const defaultDeadlineMs = 5_000
const maxDeadlineMs = 60_000
/** The largest number of statements that wait for Postgres. Further ones are rejected at once. */
const maxStatements = 1_000

/**
 * Returns access to a database, each of whose statements has a deadline. Throws a TypeError for a wrong argument.
 *
 * @param caller the function whose argument `client` is, for the message
 */
export function toSql (
  client: PostgresClient, caller: string, deadlineMs: number = defaultDeadlineMs
): Sql {
  const { query } = (client ?? {}) as Partial<PostgresClient>
  if (typeof query !== 'function') {
    throw new TypeError(
      `${caller} takes a pool of pg, or an object with query(sql, params), and was given ${shown(client)}.`
    )
  }
  requireNumber('deadlineMs', deadlineMs, 'milliseconds', 1, maxDeadlineMs)
  const outstanding = createOutstanding(deadlineMs, maxStatements)
  return {
    async query<Row extends object> (text: string, values: readonly unknown[] = []) {
      const answer = await outstanding.hold(1, async () => await client.query(text, [...values]))
      const rows = Array.isArray(answer) ? answer : (answer as { rows?: unknown } | undefined)?.rows
      if (Array.isArray(rows)) return rows as Row[]
      throw new TypeError(`query(sql, params) returned ${shown(answer)}; it must return rows, or an object with rows.`)
    }
  }
}

/** Matches the error of a database that has no function `version`. */
const otherDialects = /no such (function|column): version|not a recognized built-in function|invalid identifier/i

async function askVersion (sql: Sql): Promise<string> {
  try {
    const [row] = await sql.query<{ version?: unknown }>('select version() as version')
    // mysql2 resolves to the rows and the columns.
    const found = Array.isArray(row) ? (row as Array<{ version?: unknown }>)[0] : row
    return String(found?.version)
  } catch (error) {
    if (!otherDialects.test((error as Error).message)) throw error
    throw new Error(`The record needs Postgres, and this database is another one (${(error as Error).message}).`)
  }
}

/** Databases that speak the protocol of Postgres and do not keep its advisory locks, by their versions. */
const unfit: Array<[version: RegExp, name: string]> = [
  [/^CockroachDB/i, 'CockroachDB'],
  [/-YB-/, 'YugabyteDB'],
  [/Redshift/i, 'Amazon Redshift'],
  [/MariaDB/i, 'MariaDB'],
  [/^\d+\.\d+\.\d+/, 'MySQL']
]

/** Rejects unless a database is a Postgres with a table of revocations. The error names what it is, or lacks. */
export async function checkDatabase (sql: Sql, table: string, cure: string): Promise<void> {
  refuseOtherDatabases(await askVersion(sql))
  try {
    await sql.query(`select 1 from ${table} limit 1`)
  } catch (cause) {
    if ((cause as { code?: string }).code !== '42P01') throw cause
    throw new Error(`The table ${table} is missing: ${cure}`, { cause })
  }
}

function refuseOtherDatabases (version: string): void {
  const name = unfit.find(([form]) => form.test(version))?.[1]
  if (name === undefined && version.startsWith('PostgreSQL ')) return
  throw new Error(`The record needs Postgres, and this database is ${name ?? 'another one'} (${version}).`)
}
