import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { StartupError } from '../../errors.ts'
import { createDatabase, type Database } from '../database.ts'
import { applyMigrations } from '../migrator.ts'

/**
 * Opens the embedded Postgres (PGlite) in a folder, and brings its tables up to date. Its data survives a killed
 * process, but not a power cut: it does not wait for the disk.
 *
 * Rejects with a {@link StartupError} when the folder holds no database, or a damaged one.
 *
 * The caller must hold the lock of the folder: two processes on one folder silently destroy each other's rows.
 *
 * @param dataDir the folder; without one the database lives in memory, for tests
 */
export async function openEmbedded (dataDir?: string): Promise<Database> {
  const { client, db, folder } = await openUpToDate(dataDir)
  return createDatabase({
    run: work => work(db),
    description: folder === undefined ? 'embedded Postgres in memory' : `embedded Postgres in ${folder}`,
    transaction: work => db.transaction(work),
    close: () => client.close()
  })
}

/** Brings the tables in a folder up to date, as `openEmbedded` does. Returns how many migrations were applied. */
export async function migrateEmbedded (dataDir: string): Promise<number> {
  const { client, applied } = await openUpToDate(dataDir)
  await client.close()
  return applied
}

/**
 * The memory in which Postgres keeps pages. Postgres clears it at each start, so its own default of 128 MB takes most
 * of the time that a start takes. The operating system keeps what does not fit.
 */
const sharedBuffers = '16MB'

async function openUpToDate (dataDir: string | undefined) {
  // With a real Postgres, nothing loads these.
  const [{ PGlite }, { drizzle }] = await Promise.all([import('@electric-sql/pglite'), import('drizzle-orm/pglite')])
  const folder = dataDir === undefined ? undefined : join(dataDir, 'postgres')
  if (folder !== undefined) await mkdir(folder, { recursive: true, mode: 0o700 })
  const startParams = [...PGlite.defaultStartParams, '-c', `shared_buffers=${sharedBuffers}`]
  const client = await PGlite.create({ ...folder !== undefined && { dataDir: folder }, startParams }).catch(cause => {
    throw new StartupError(
      `DATA_DIR: the database in ${folder} cannot be opened (${(cause as Error).message}). Restore it from a backup, or name another folder.`,
      { cause }
    )
  })
  const db = drizzle({ client })
  const applied = await applyMigrations(work => db.transaction(work), 0)
  return { client, db, folder, applied }
}
