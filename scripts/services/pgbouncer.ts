import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { findProgramFolder } from './programs.ts'

/** Returns the path of PgBouncer, or undefined if it is not installed. Debian keeps it in a folder of root's PATH. */
export function findPgBouncer (): string | undefined {
  const folder = findProgramFolder('pgbouncer') ?? ['/usr/sbin'].find(folder => existsSync(join(folder, 'pgbouncer')))
  return folder && join(folder, 'pgbouncer')
}
