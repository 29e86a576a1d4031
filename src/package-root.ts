import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * The folder of this package. It is searched for upwards, because compiled code lies one level deeper than its source.
 */
export const packageRoot: string = findPackageRoot(import.meta.dirname)

/** The version of this package. */
export const version: string = versionOf(packageRoot)

/** Returns the version of the package in a folder. */
export function versionOf (folder: string): string {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version
}

/** Returns the folder of the package that a folder is in. */
export function findPackageRoot (folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder
  const parent = dirname(folder)
  if (parent === folder) throw new Error('The package that this code belongs to has no package.json.')
  return findPackageRoot(parent)
}
