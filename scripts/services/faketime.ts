import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const file = 'libfaketimeMT.so.1'
/** Debian has a folder for each architecture, other systems do not. */
const parents = ['/usr/lib', '/usr/lib64', '/usr/local/lib']

/**
 * Returns the path of the library that gives a process another clock: the one that FAKETIME_LIBRARY names, or an
 * installed one. Returns undefined without one.
 */
export function findFaketime (): string | undefined {
  const named = process.env['FAKETIME_LIBRARY']
  if (named !== undefined && named !== '') return named
  const folders = parents
    .filter(existsSync)
    .flatMap(parent => [parent, ...readdirSync(parent).map(name => join(parent, name))])
  return folders.map(folder => join(folder, 'faketime', file)).find(existsSync)
}
