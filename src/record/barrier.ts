import { setTimeout } from 'node:timers/promises'
import type { Sql } from '../db/sql.ts'

/**
 * The number of an advisory lock. Any number will do that no other application in the same database uses. Writers share
 * the lock from before they take positions until their commit.
 */
export const barrier = 7_366_721

/** The longest wait for writers, in milliseconds. */
export const writersDeadlineMs = 2_000

/** The pause before the next look at the writers, in milliseconds. */
const lookAgainMs = 20

/** Holds the barrier until the transaction ends, which is about to add revocations. Waits for no other transaction. */
export async function enterBarrier (sql: Sql): Promise<void> {
  await sql.query('select pg_advisory_xact_lock_shared($1::bigint)', [barrier])
}

/**
 * Waits until every transaction that is adding revocations now has ended. Then every position that was given out before
 * is committed or rolled back. Rejects after two seconds.
 *
 * Taking the lock exclusively would be shorter. But a request for that, while it waits for one slow writer, makes every
 * other writer wait as well.
 */
export async function waitForWriters (sql: Sql): Promise<void> {
  const giveUpAt = performance.now() + writersDeadlineMs
  let writers = await listWriters(sql)
  while (writers.length > 0) {
    if (performance.now() > giveUpAt) {
      throw new Error(`A transaction has been adding revocations for more than ${writersDeadlineMs / 1000} s.`)
    }
    await setTimeout(lookAgainMs)
    const present = new Set(await listWriters(sql))
    writers = writers.filter(writer => present.has(writer))
  }
}

/** Lists the transactions that hold the barrier. Postgres releases a lock after others can see the commit. */
async function listWriters (sql: Sql): Promise<string[]> {
  const rows = await sql.query<{ name: string }>(`select virtualtransaction as name from pg_locks
    where locktype = 'advisory' and classid = 0 and objid = $1::oid and objsubid = 1 and granted
    and database = (select oid from pg_database where datname = current_database())`, [barrier])
  return rows.map(({ name }) => name)
}
