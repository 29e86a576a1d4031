import { sql } from 'drizzle-orm'
import type { Database, Drizzle } from '../db/database.ts'

/** A recurring task that deletes what is no longer needed. */
export interface Chore {
  name: string
  /** The mean pause after it found nothing more to do, in milliseconds. */
  everyMs: number
  /** Clears one small batch. Resolves to true if there may be more. */
  clearBatch (db: Drizzle): Promise<boolean>
}

/** Does the chores while the service runs. */
export interface Janitor {
  /** Does every chore once, batch by batch. Leaves out a chore that another replica is doing. */
  tidyUp (): Promise<void>
  start (): void
  /** Stops the timers. Resolves when the batches under way are finished. */
  stop (): Promise<void>
}

export interface JanitorOptions {
  database: Database
  chores: Chore[]
  /** Called when a chore failed. The chore is tried again at its next turn. */
  onFailure: (chore: string, error: unknown) => void
}

/** The namespace of our advisory locks. No other application in the same database may use it. */
const lockNamespace = 7_366_720

/**
 * Creates a janitor. One replica at a time does a chore: each batch is a transaction that tries to take a lock. A
 * replica that does not get the lock leaves the chore to the one that has it.
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
    // The delay is random, so that replicas that were started together do not always work at the same instant.
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
