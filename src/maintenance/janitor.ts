import { sql } from 'drizzle-orm'
import type { Database, Drizzle } from '../db/database.ts'

/** Something that has to be cleared away now and then. */
export interface Chore {
  name: string
  /** How long it rests after it found nothing more to do, in milliseconds. */
  everyMs: number
  /** Clears one small batch away. Answers whether there may be more. */
  clearBatch (db: Drizzle): Promise<boolean>
}

/** Does chores for as long as the service runs. */
export interface Janitor {
  /** Does every chore once, batch by batch, unless another replica is at it. */
  tidyUp (): Promise<void>
  start (): void
  /** Resolves when the batch that is under way is finished. */
  stop (): Promise<void>
}

export interface JanitorOptions {
  database: Database
  chores: Chore[]
  /** Told of a chore that failed. It is tried again when its turn comes. */
  onFailure: (chore: string, error: unknown) => void
}

/** Any number will do, as long as no other application in the same database uses it for an advisory lock. */
const lockNamespace = 7_366_720

/**
 * Chores are done by the service itself, by one replica at a time: each batch is a transaction that takes a lock, and
 * whoever does not get it leaves the chore to whoever has it.
 */
export function createJanitor ({ database, chores, onFailure }: JanitorOptions): Janitor {
  const timers = new Map<Chore, NodeJS.Timeout>()
  const underWay = new Set<Promise<void>>()
  let isStopped = false

  async function doChore (chore: Chore, number: number): Promise<void> {
    const clearBatch = () => database.transaction(async db => await takeLock(db, number) && await chore.clearBatch(db))
    while (await clearBatch()) if (isStopped) return
  }

  function schedule (chore: Chore, number: number): void {
    // Replicas that were started together do not come at the same instant for ever.
    const delayMs = chore.everyMs * (0.75 + Math.random() / 2)
    timers.set(chore, setTimeout(() => {
      const work = doChore(chore, number)
        .catch(error => { onFailure(chore.name, error) })
        .finally(() => {
          underWay.delete(work)
          if (!isStopped) schedule(chore, number)
        })
      underWay.add(work)
    }, delayMs).unref())
  }

  return {
    async tidyUp () {
      for (const [number, chore] of chores.entries()) await doChore(chore, number)
    },
    start () {
      for (const [number, chore] of chores.entries()) schedule(chore, number)
    },
    async stop () {
      isStopped = true
      for (const timer of timers.values()) clearTimeout(timer)
      await Promise.all(underWay)
    }
  }
}

async function takeLock (db: Drizzle, number: number): Promise<boolean> {
  const { rows } = (await db.execute(
    sql`select pg_try_advisory_xact_lock(${lockNamespace}::int, ${number}::int) as taken`
  )) as { rows: Array<{ taken: boolean }> }
  return rows[0]?.taken === true
}
