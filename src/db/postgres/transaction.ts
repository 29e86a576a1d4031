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
 * @param settings set by each transaction, and ended with it. That is safe behind a pooler, where the next transaction
 * on the same connection may be another application's.
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
      // The work itself has failed, and the connection is intact.
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
 * Returns the statements that begin a transaction, as one message to Postgres. Committed data survives a crash of
 * Postgres, even if its own default is another.
 */
function beginStatement (settings: ServerSettings): string {
  const values = Object.entries({ synchronous_commit: 'on', ...settings })
  return ['begin', ...values.map(([name, value]) => `set local ${name} = ${value}`)].join('; ')
}

/**
 * Listens for the error of a connection that is in use, where the pool does not listen. The statement rejects as well.
 * Without a listener, Node would end the process.
 */
function ignore (): void {}

async function connect (pool: pg.Pool): Promise<pg.PoolClient> {
  try {
    return await pool.connect()
  } catch (cause) {
    throw new DrizzleQueryError('connect', [], cause as Error)
  }
}
