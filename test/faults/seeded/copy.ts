import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import type { buildApp } from '../../../src/app.ts'
import type { loadConfig } from '../../../src/config.ts'
import { packageRoot } from '../../../src/package-root.ts'
import { scratchFolder } from '../../support/app.ts'
import type { Owner } from '../../support/teardown.ts'

/** A change of the source in one place. The text to find must occur exactly once. */
export interface Patch {
  file: string
  find: string
  replace: string
}

/** The service, loaded from a copy. */
export interface Service {
  buildApp: typeof buildApp
  loadConfig: typeof loadConfig
}

/**
 * Builds a copy of the service with changes, and loads it. The service itself has no switch for that. Each patch must
 * change another file. The copy is bundled, because a bundle loads much faster than the files of the service.
 */
export async function loadCopy (t: Owner, patches: readonly Patch[]): Promise<Service> {
  const copy = scratchFolder(t)
  const changed = new Map(patches.map(patch => [join(packageRoot, patch.file), applyPatch(patch)]))
  const loaded = new Set<string>()
  await build({
    absWorkingDir: packageRoot,
    entryPoints: ['src/app.ts', 'src/config.ts'],
    outdir: join(copy, 'dist', 'src'),
    bundle: true,
    splitting: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'warning',
    plugins: [{
      name: 'patches',
      setup ({ onLoad }) {
        onLoad({ filter: /\.ts$/ }, ({ path }) => {
          const contents = changed.get(path)
          if (contents === undefined) return undefined
          loaded.add(path)
          return { contents, loader: 'ts' }
        })
      }
    }]
  })
  if (loaded.size < patches.length) throw new Error('A patch changes a file that the service does not load.')
  cpSync(join(packageRoot, 'package.json'), join(copy, 'package.json'))
  mkdirSync(join(copy, 'src', 'db'), { recursive: true })
  symlinkSync(join(packageRoot, 'src', 'db', 'migrations'), join(copy, 'src', 'db', 'migrations'))
  symlinkSync(join(packageRoot, 'node_modules'), join(copy, 'node_modules'))
  const load = (path: string) => import(pathToFileURL(join(copy, 'dist', 'src', path)).href)
  const [{ buildApp }, { loadConfig }] = await Promise.all([load('app.js'), load('config.js')])
  return { buildApp, loadConfig }
}

/** Returns the source of a file with the change in it. Throws unless the text to change occurs exactly once. */
function applyPatch ({ file, find, replace }: Patch): string {
  const source = readFileSync(join(packageRoot, file), 'utf8')
  const count = source.split(find).length - 1
  if (count !== 1) {
    throw new Error(
      `${file} has ${JSON.stringify(find)} ${count} times: the patch has to follow what has become of it.`
    )
  }
  return source.replace(find, () => replace)
}
