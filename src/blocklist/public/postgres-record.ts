import type { Sql } from '../../db/sql.ts'
import { refuseUnknown, requireNumber, shown } from '../../input/check-options.ts'
import { createPooledRecord, type PooledRecord } from '../../record/pooled/pooled-record.ts'
import { pooledTables, pooledTablesSql } from '../../record/pooled/tables.ts'
import { createOutstanding } from '../../redis/outstanding.ts'

/**
 * Access to Postgres: a pool of `pg`, or anything else that runs a statement with `$1`, `$2` and so on in place of the
 * values. It must lead to the primary: a standby lags.
 */
export interface PostgresClient {
  /** Runs a statement. Resolves to the rows, or to an object with `rows`. */
  query (sql: string, params: unknown[]): Promise<unknown>
}

/** Options of {@link createPostgresRecord}. */
export interface PostgresRecordOptions {
  /** The schema that has the tables. They are searched by `search_path` if it is left out. */
  schema?: string
  /** The longest time for one statement, in milliseconds, from 1 to 60000. Defaults to 5000. */
  deadlineMs?: number
}

/** A record in Postgres, made by `createPostgresRecord`. Give it to `createRedisBlocklist`. */
export interface PostgresRecord {
  /** Opens the record for one blocklist, which calls this. */
  open (leewaySeconds: number): OpenedRecord
}

/** A record, and a check of its database. */
export interface OpenedRecord extends PooledRecord {
  /** Resolves if the database is a Postgres with the tables. Rejects with what is wrong. */
  check (): Promise<void>
}

const defaultDeadlineMs = 5_000
const maxDeadlineMs = 60_000
/** The largest number of statements that wait for Postgres. Further ones are rejected at once. */
const maxStatements = 1_000

/**
 * Creates a record of revocations in Postgres. With it, Redis may lose everything: the blocklist is rebuilt, and no
 * user is signed out.
 *
 * The tables are those of `postgresRecordSql`. The app closes the pool. Throws a TypeError for a wrong argument. A
 * database that is not Postgres is refused by its name, when the blocklist is opened.
 *
 * @example
 * const record = createPostgresRecord(new pg.Pool({ connectionString: process.env.DATABASE_URL }))
 * const blocklist = createRedisBlocklist({ redis, prefix: 'my-app:', record })
 */
export function createPostgresRecord (client: PostgresClient, options: PostgresRecordOptions = {}): PostgresRecord {
  const { query } = (client ?? {}) as Partial<PostgresClient>
  if (typeof query !== 'function') {
    throw new TypeError(
      `createPostgresRecord takes a pool of pg, or an object with query(sql, params), and was given ${shown(client)}.`
    )
  }
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`The options of createPostgresRecord are ${shown(options)}; they must be an object.`)
  }
  refuseUnknown(options, ['schema', 'deadlineMs'])
  const { schema, deadlineMs = defaultDeadlineMs } = options
  checkSchema(schema)
  requireNumber('deadlineMs', deadlineMs, 'milliseconds', 1, maxDeadlineMs)
  const sql = toSql(client, deadlineMs)
  const tables = pooledTables(schema)
  return {
    open (leewaySeconds) {
      const record = createPooledRecord(sql, tables, leewaySeconds)
      let isChecked = false
      async function check (): Promise<void> {
        if (isChecked) return
        refuseOtherDatabases(await askVersion(sql))
        await refuseMissingTables(sql, tables.records)
        isChecked = true
      }
      return {
        ...record,
        check,
        // Another database might accept the statement, and not keep what the protocol needs.
        async append (revocations) {
          await check()
          await record.append(revocations)
        },
        async appendCutOff (scope, id, lifetimeSeconds) {
          await check()
          return await record.appendCutOff(scope, id, lifetimeSeconds)
        }
      }
    }
  }
}

/**
 * Returns the SQL that creates the tables of a record. Put it into the migrations of your app. It may be repeated.
 *
 * @param options `schema`: the schema of the tables, which must exist
 *
 * @example
 * await pool.query(postgresRecordSql())
 */
export function postgresRecordSql ({ schema }: Pick<PostgresRecordOptions, 'schema'> = {}): string {
  checkSchema(schema)
  return pooledTablesSql(schema)
}

function checkSchema (schema: unknown): void {
  if (schema === undefined || (typeof schema === 'string' && /^\w{1,63}$/.test(schema))) return
  throw new TypeError(`schema is ${shown(schema)}; it must be 1 to 63 letters, digits or underscores.`)
}

function toSql (client: PostgresClient, deadlineMs: number): Sql {
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

function refuseOtherDatabases (version: string): void {
  const name = unfit.find(([form]) => form.test(version))?.[1]
  if (name === undefined && version.startsWith('PostgreSQL ')) return
  throw new Error(`The record needs Postgres, and this database is ${name ?? 'another one'} (${version}).`)
}

async function refuseMissingTables (sql: Sql, records: string): Promise<void> {
  try {
    await sql.query(`select 1 from ${records} limit 1`)
  } catch (cause) {
    if ((cause as { code?: string }).code !== '42P01') throw cause
    throw new Error(`The table ${records} is missing: run the SQL of postgresRecordSql() in the migrations.`, { cause })
  }
}
