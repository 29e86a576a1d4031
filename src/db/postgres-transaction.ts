import { sql } from 'drizzle-orm'
import { DrizzleQueryError } from 'drizzle-orm/errors'
import { drizzle } from 'drizzle-orm/node-postgres'
import type pg from 'pg'
import type { RunTransaction } from './database.ts'

/** In one trip. Whatever the server's default is, what was committed survives its crash. */
const begin = sql.raw('begin; set local synchronous_commit = on')

/**
 * Drizzle's own transactions give a connection back to the pool whatever happened on it. One on which a statement failed
 * may be waiting for its answer still, and whoever gets it next would wait behind that: it is thrown away instead, and the
 * server rolls back what it had begun.
 */
export function createPostgresTransaction (pool: pg.Pool): RunTransaction {
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
 * The pool hears of what breaks while nobody has it, and no longer. Whoever has it hears of that from the statement, which
 * rejects; without a listener as well it would be the end of the process.
 */
function ignore (): void {}

async function connect (pool: pg.Pool): Promise<pg.PoolClient> {
  try {
    return await pool.connect()
  } catch (cause) {
    throw new DrizzleQueryError('connect', [], cause as Error)
  }
}
