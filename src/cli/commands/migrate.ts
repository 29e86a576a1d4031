import { resolve } from 'node:path'
import { openDataDir } from '../../db/embedded/data-dir.ts'
import { findMissingEmbedded, hasDatabase, migrateEmbedded } from '../../db/embedded/embedded.ts'
import { findMissing, migratePostgres } from '../../db/postgres/postgres.ts'
import { describeUrl } from '../../input/describe-url.ts'
import { readConfig } from '../read-config.ts'
import { print, printJson, printSome } from '../terminal.ts'

/** Brings the tables up to date, and opens nothing else. In a dry run it lists the migrations, and writes nothing. */
export async function migrate (isDryRun: boolean, asJson: boolean): Promise<void> {
  const { storage, database: { deadlineMs } } = readConfig()
  const where = storage.kind === 'servers' ? describeUrl(storage.databaseUrl) : resolve(storage.dataDir)
  const migrations = storage.kind === 'embedded'
    ? await migrateFolder(storage.dataDir, isDryRun)
    : await (isDryRun ? findMissing : migratePostgres)({ url: storage.databaseUrl, deadlineMs })
  if (asJson) printJson({ database: where, dry_run: isDryRun, migrations })
  else report(where, migrations, isDryRun)
}

async function migrateFolder (path: string, isDryRun: boolean): Promise<string[]> {
  // The lock creates the folder.
  if (isDryRun && !hasDatabase(path)) return await findMissingEmbedded(path)
  const dataDir = await openDataDir(path)
  try {
    return await (isDryRun ? findMissingEmbedded : migrateEmbedded)(dataDir.path)
  } finally {
    await dataDir.unlock()
  }
}

function report (where: string, names: readonly string[], isDryRun: boolean): void {
  const [some, were] = names.length === 1 ? ['1 migration', 'was'] : [`${names.length} migrations`, 'were']
  if (names.length === 0) print(`The tables at ${where} are up to date: nothing had to be done.`)
  else if (!isDryRun) print(`The tables at ${where} are up to date: ${some} ${were} applied.`)
  else {
    print(`The tables at ${where} are older than this version. signout migrate would apply ${some}:`)
    printSome(names.map(name => `  ${name}`))
  }
}
