import { sql } from 'drizzle-orm'
import { DrizzleQueryError } from 'drizzle-orm/errors'
import { drizzle } from 'drizzle-orm/node-postgres'
import type pg from 'pg'
import type { RunTransaction } from '../database.ts'
import type { ServerSettings } from './pool.ts'

/**
 * Returns a function that runs work in a transaction of its own, on a connection of the pool.
 *
 * A connection on which a statement failed is closed, and Postgres rolls back. Drizzle's own transactions give such a
 * connection back to the pool. The failed statement may still be running there, and the next user would wait behind it.
 *
 * @param settings what each transaction sets for itself. The settings end with the transaction, so they are safe behind
 * a
 *   pooler, where the next transaction on the same connection may be another application's.
 */
export function createPostgresTransaction (pool: pg.Pool, settings: ServerSettings = {}): RunTransaction {
  const begin = sql.raw(beginStatement(settings))
  return async work => {
    const client = await connect(pool)
    client.on('error', ignore)
    const db = drizzle({ client })
    let isBroken = true
    try {
      await db.execute(begin)
      const result = await work(db)
      await db.execute(sql`commit`)
      isBroken = false
      return result
    } catch (error) {
      if (error instanceof DrizzleQueryError) throw error
      // The work changed its mind, and the connection is well.
      await db.execute(sql`rollback`)
      isBroken = false
      throw error
    } finally {
      client.off('error', ignore)
      client.release(isBroken)
    }
  }
}

/**
 * Returns the statements that begin a transaction, which Postgres gets in one message. What was committed survives a
 * crash of Postgres, whatever its default is.
 */
function beginStatement (settings: ServerSettings): string {
  const values = Object.entries({ synchronous_commit: 'on', ...settings })
  return ['begin', ...values.map(([name, value]) => `set local ${name} = ${value}`)].join('; ')
}

/**
 * The pool hears of what breaks while nobody has it, and no longer. Whoever has it hears of that from the statement,
 * which rejects; without a listener as well it would be the end of the process.
 */
function ignore (): void {}

async function connect (pool: pg.Pool): Promise<pg.PoolClient> {
  try {
    return await pool.connect()
  } catch (cause) {
    throw new DrizzleQueryError('connect', [], cause as Error)
  }
}
