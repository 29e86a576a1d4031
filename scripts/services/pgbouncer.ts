import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { findProgramFolder } from './programs.ts'

/**
 * Returns the path of PgBouncer, or undefined where it is not installed. Debian keeps it where only root's PATH leads.
 */
export function findPgBouncer (): string | undefined {
  const folder = findProgramFolder('pgbouncer') ?? ['/usr/sbin'].find(folder => existsSync(join(folder, 'pgbouncer')))
  return folder && join(folder, 'pgbouncer')
}
