import { refuseUnknown, shown } from '../../input/check-options.ts'
import { createPooledRecord, type PooledRecord } from '../../record/pooled/pooled-record.ts'
import { pooledTables, pooledTablesSql } from '../../record/pooled/tables.ts'
import { checkDatabase, toSql, type PostgresClient } from './postgres-client.ts'

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
  /** True for the record of the service, which others only read. */
  isOfService?: true
  /** Resolves if the database is a Postgres with the tables. Rejects with what is wrong. */
  check (): Promise<void>
}

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
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`The options of createPostgresRecord are ${shown(options)}; they must be an object.`)
  }
  refuseUnknown(options, ['schema', 'deadlineMs'])
  const { schema, deadlineMs } = options
  checkSchema(schema)
  const sql = toSql(client, 'createPostgresRecord', deadlineMs)
  const tables = pooledTables(schema)
  return {
    open (leewaySeconds) {
      const record = createPooledRecord(sql, tables, leewaySeconds)
      let isChecked = false
      async function check (): Promise<void> {
        if (isChecked) return
        await checkDatabase(sql, tables.records, 'run the SQL of postgresRecordSql() in the migrations.')
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
