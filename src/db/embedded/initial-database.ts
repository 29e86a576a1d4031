import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { findPackageRoot, packageRoot, versionOf } from '../../package-root.ts'

/**
 * Returns the path of the file of an empty database, as the initdb of the installed PGlite makes it. Nothing of ours is
 * in it: rows that all installations have in common, such as an id of the log of revocations, would make them one.
 * Another version of PGlite has no such file, and runs its initdb. `npm run initdb` makes the file.
 */
export function initialDatabase (): string {
  const pglite = findPackageRoot(dirname(createRequire(import.meta.url).resolve('@electric-sql/pglite')))
  return join(packageRoot, 'src', 'db', 'initdb', `pglite-${versionOf(pglite)}.tar.br`)
}

/**
 * Makes an empty database in a folder, which must not exist. A process that is killed meanwhile leaves no folder.
 *
 * @param initialize makes the database in a folder; called if there is no file of an empty one
 * @param file the file of an empty database. For tests
 */
export async function makeDatabase (
  folder: string, initialize: (folder: string) => Promise<void>, file = initialDatabase()
): Promise<void> {
  const unfinished = `${folder}.new`
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(unfinished, { recursive: true, mode: 0o700 })
  if (existsSync(file)) {
    const { extract } = await import('tar')
    await extract({ file, cwd: unfinished, brotli: true })
  } else {
    await initialize(unfinished)
  }
  await rename(unfinished, folder)
}
