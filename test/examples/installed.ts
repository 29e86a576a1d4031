import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { extract } from 'tar'
import { packPlugin } from '../../scripts/packages/pack.ts'
import { packageRoot } from '../../src/package-root.ts'
import { scratchFolder } from '../support/app.ts'
import type { Owner } from '../support/teardown.ts'

/** The folder of the examples in the repository. */
export const examplesFolder = join(packageRoot, 'examples')
export interface Manifest {
  name: string
  version: string
  scripts: Record<string, string>
  dependencies: Record<string, string>
  peerDependencies?: Record<string, string>
}

export function readManifest (folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
}

/** The examples with the plugin. */
export const examples: string[] = readdirSync(examplesFolder)
  .filter(name => existsSync(join(examplesFolder, name, 'package.json')))
  .filter(name => 'fastify-signout' in readManifest(join(examplesFolder, name)).dependencies)
  .sort()

/**
 * Installs the examples with the plugin into a folder, and returns the folder of each by its name. An example finds the
 * packages that it declares, and no others. The plugin is unpacked from its tarball. All other packages are those of
 * the repository.
 */
export async function installExamples (owner: Owner): Promise<(name: string) => string> {
  const folder = scratchFolder(owner)
  const plugin = join(folder, 'plugin', 'node_modules', 'fastify-signout')
  mkdirSync(plugin, { recursive: true })
  await extract({ file: packPlugin(folder).file, cwd: plugin, strip: 1 })
  const { dependencies, peerDependencies } = readManifest(plugin)
  for (const name of Object.keys({ ...dependencies, ...peerDependencies })) link(join(folder, 'plugin'), name)
  for (const example of examples) {
    const own = join(folder, example)
    cpSync(join(examplesFolder, example), own, { recursive: true })
    for (const name of Object.keys(readManifest(own).dependencies)) {
      link(own, name, name === 'fastify-signout' ? plugin : undefined)
    }
  }
  return name => join(folder, name)
}

function link (folder: string, name: string, target = join(packageRoot, 'node_modules', name)): void {
  const path = join(folder, 'node_modules', name)
  mkdirSync(dirname(path), { recursive: true })
  symlinkSync(target, path)
}
