import { refuseUnknown, shown } from '../../input/check-options.ts'
import { serviceTables } from '../../record/queries.ts'
import { createRecordStatements } from '../../record/record.ts'
import { checkDatabase, toSql, type PostgresClient } from './postgres-client.ts'
import type { OpenedRecord, PostgresRecord, PostgresRecordOptions } from './postgres-record.ts'

/**
 * Creates the access to the record of the service signout, for an API that accepts the tokens of the service. Its
 * blocklist is the one of the service: with the same Redis, and the `BLOCKLIST_PREFIX` of the service as its prefix.
 *
 * Its user of Postgres needs `select` on `revocations`, `revocations_position_seq` and `records`, and no more. The
 * blocklist writes no entry. It refuses to revoke anything: logouts belong to the service. Its keys must come from a
 * function in `jwt.secret`, so that tokens of a revoked signing key are refused.
 *
 * The app closes the pool. Throws a TypeError for a wrong argument.
 *
 * @param client as for `createPostgresRecord`: a pool that leads to the primary of the service's Postgres
 * @param options `deadlineMs`: the longest time for one statement, in milliseconds. Defaults to 5000.
 *
 * @example
 * const record = createServiceRecord(new pg.Pool({ connectionString: process.env.DATABASE_URL }))
 * const blocklist = createRedisBlocklist({ redis, prefix: 'signout:', record })
 */
export function createServiceRecord (
  client: PostgresClient, options: Pick<PostgresRecordOptions, 'deadlineMs'> = {}
): PostgresRecord {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`The options of createServiceRecord are ${shown(options)}; they must be an object.`)
  }
  refuseUnknown(options, ['deadlineMs'])
  const sql = toSql(client, 'createServiceRecord', options.deadlineMs)
  return {
    open: (leewaySeconds): OpenedRecord => ({
      ...createRecordStatements(sql, serviceTables, leewaySeconds),
      isOfService: true,
      check: () => checkDatabase(sql, serviceTables.records, 'this is not the database of signout.'),
      append: refuse,
      appendCutOff: refuse,
      // The projector and the janitor of the service do these.
      settleHead: refuse,
      rename: refuse,
      prune: refuse
    })
  }
}

/** The reason why a blocklist with the record of the service revokes nothing. */
export const notHere = 'This blocklist is that of the service signout, which alone revokes: log out there.'

async function refuse (): Promise<never> {
  throw new TypeError(notHere)
}
