import { createHash } from 'node:crypto'
import {
  chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, statSync
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { servicesDir } from '../../scripts/services/state.ts'
import { openEmbedded } from '../../src/db/embedded/embedded.ts'
import { migrationsFolder } from '../../src/db/migrations-folder.ts'
import { openPostgres } from '../../src/db/postgres/postgres.ts'
import { administer, createDatabase, databaseUrl, randomName } from './services.ts'

// Databases with the tables of the service, and without a row but the record's. Tests copy them: that costs much less
// than to apply the migrations.

/** Returns a text that changes with the migrations. */
function versionOfTables (): string {
  const migrations = createHash('sha256')
  for (const name of readdirSync(migrationsFolder).sort()) {
    if (name.endsWith('.sql')) migrations.update(readFileSync(join(migrationsFolder, name)))
  }
  return migrations.digest('hex').slice(0, 16)
}

/** Returns the folder of the embedded database that tests copy. */
export async function embeddedTemplate (): Promise<string> {
  const template = join(servicesDir, `embedded-${versionOfTables()}`)
  if (existsSync(template)) return template
  // Renamed into place, since tests in other processes may be creating the same template.
  mkdirSync(servicesDir, { recursive: true })
  const made = mkdtempSync(join(servicesDir, 'embedded-new-'))
  await (await openEmbedded(made)).close()
  try {
    renameSync(made, template)
  } catch {
    await rm(made, { recursive: true })
  }
  return template
}

/**
 * Copies a folder into another, which may exist. For the thousand files of a database, `cp` of `node:fs/promises` takes
 * a second of processor time, and this takes 50 ms.
 */
export function copyFolder (from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  chmodSync(to, statSync(from).mode)
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (entry.isDirectory()) copyFolder(join(from, entry.name), join(to, entry.name))
    else copyFileSync(join(from, entry.name), join(to, entry.name))
  }
}

let postgresTemplate: Promise<string> | undefined

/** Creates a copy of the template in Postgres, with that name. The records of all copies have one id. */
export async function copyPostgresTemplate (name: string): Promise<void> {
  postgresTemplate ??= makePostgresTemplate()
  await createDatabase(name, `template ${await postgresTemplate}`)
}

async function makePostgresTemplate (): Promise<string> {
  const template = `signout_template_${versionOfTables()}`
  const exists = async () => (await administer(`select from pg_database where datname = '${template}'`)).rowCount === 1
  if (await exists()) return template
  const made = `signout_template_${randomName()}`
  await createDatabase(made)
  await (await openPostgres({ url: databaseUrl(made), deadlineMs: 30_000 })).close()
  try {
    await administer(`alter database ${made} rename to ${template}`)
  } catch (error) {
    await administer(`drop database ${made}`)
    if (!await exists()) throw error
  }
  return template
}
