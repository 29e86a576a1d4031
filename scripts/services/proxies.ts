import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { findProgramFolder } from './programs.ts'

export type ProxyName = 'nginx' | 'haproxy' | 'caddy'

/** Returns the path of a proxy, or undefined. Debian keeps nginx and HAProxy in a folder of root's PATH. */
export function findProxy (name: ProxyName): string | undefined {
  const folder = findProgramFolder(name) ?? ['/usr/sbin'].find(folder => existsSync(join(folder, name)))
  return folder && join(folder, name)
}
