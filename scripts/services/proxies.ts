import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { findProgramFolder } from './programs.ts'

/** Returns the path of nginx or HAProxy, or undefined. Debian keeps both in a folder of root's PATH. */
export function findProxy (name: 'nginx' | 'haproxy'): string | undefined {
  const folder = findProgramFolder(name) ?? ['/usr/sbin'].find(folder => existsSync(join(folder, name)))
  return folder && join(folder, name)
}
