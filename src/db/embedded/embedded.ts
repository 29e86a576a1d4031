import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { StartupError } from '../../errors.ts'
import { createDatabase, type Database } from '../database.ts'
import { applyMigrations, listMigrations, listPendingMigrations, refuseOlderTables } from '../migrator.ts'
import { makeDatabase } from './initial-database.ts'

/**
 * Opens the embedded Postgres (PGlite) in a folder, and brings its tables up to date. Its data survives a killed
 * process, but not a power cut: it does not wait for the disk.
 *
 * Rejects with a {@link StartupError} when the folder holds a damaged database, or when it must not migrate older
 * tables.
 *
 * The caller must hold the lock of the folder: two processes on one folder silently destroy each other's rows.
 *
 * @param dataDir the folder; without one the database lives in memory, for tests
 * @param migrates false to refuse tables that are not up to date, instead of migrating them
 */
export async function openEmbedded (dataDir?: string, migrates = true): Promise<Database> {
  const opened = await openFolder(dataDir)
  const { client, db, folder } = opened
  try {
    if (migrates) await applyTo(opened)
    else refuseOlderTables(await listPendingMigrations(db), { variable: 'DATA_DIR', where: folder ?? 'memory' })
  } catch (error) {
    await client.close()
    throw error
  }
  return createDatabase({
    run: work => work(db),
    description: folder === undefined ? 'embedded Postgres in memory' : `embedded Postgres in ${folder}`,
    transaction: work => db.transaction(work),
    close: () => client.close()
  })
}

/** Brings the tables in a folder up to date, as `openEmbedded` does. Returns the names of the migrations. */
export async function migrateEmbedded (dataDir: string): Promise<string[]> {
  return await withFolder(dataDir, applyTo)
}

/** Returns the names of the migrations that are missing in a folder. Creates no database if there is none. */
export async function findMissingEmbedded (dataDir: string): Promise<string[]> {
  return hasDatabase(dataDir) ? await withFolder(dataDir, ({ db }) => listPendingMigrations(db)) : listMigrations()
}

/** Returns true if a folder has a database. Opening any other folder creates one. */
export function hasDatabase (dataDir: string): boolean {
  return existsSync(join(dataDir, 'postgres', 'PG_VERSION'))
}

async function withFolder<T> (dataDir: string, work: (opened: Opened) => Promise<T>): Promise<T> {
  const opened = await openFolder(dataDir)
  try {
    return await work(opened)
  } finally {
    await opened.client.close()
  }
}

/**
 * The memory in which Postgres keeps pages. Postgres clears it at each start, so its own default of 128 MB takes most
 * of the time that a start takes. The operating system keeps what does not fit.
 */
const sharedBuffers = '16MB'

type Opened = Awaited<ReturnType<typeof openFolder>>

function applyTo ({ db }: Opened): Promise<string[]> {
  return applyMigrations(work => db.transaction(work), 0)
}

async function openFolder (dataDir: string | undefined) {
  // With a real Postgres, nothing loads these.
  const [{ PGlite }, { drizzle }] = await Promise.all([import('@electric-sql/pglite'), import('drizzle-orm/pglite')])
  const folder = dataDir === undefined ? undefined : join(dataDir, 'postgres')
  const open = (path: string | undefined) => PGlite.create({
    ...path !== undefined && { dataDir: path },
    startParams: [...PGlite.defaultStartParams, '-c', `shared_buffers=${sharedBuffers}`]
  })
  try {
    if (dataDir !== undefined && folder !== undefined && !hasDatabase(dataDir)) {
      await makeDatabase(folder, async path => { await (await open(path)).close() })
    }
    const client = await open(folder)
    return { client, db: drizzle({ client }), folder }
  } catch (cause) {
    throw new StartupError(
      `DATA_DIR: the database in ${folder} cannot be opened (${(cause as Error).message}). Restore it from a backup, or name another folder.`,
      { cause }
    )
  }
}
