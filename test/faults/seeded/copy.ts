import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
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
 * Copies the compiled service, changes the copy, and loads it. The service itself has no switch for that. Each patch
 * must change another file.
 */
export async function loadCopy (t: Owner, patches: readonly Patch[]): Promise<Service> {
  const copy = scratchFolder(t)
  // Not from dist, where the files are bundled.
  for (const folder of ['src', 'plugins', 'routes']) {
    cpSync(join(packageRoot, '.build', folder), join(copy, 'dist', folder), { recursive: true })
  }
  cpSync(join(packageRoot, 'package.json'), join(copy, 'package.json'))
  mkdirSync(join(copy, 'src', 'db'), { recursive: true })
  cpSync(join(packageRoot, 'src', 'db', 'migrations'), join(copy, 'src', 'db', 'migrations'), { recursive: true })
  symlinkSync(join(packageRoot, 'node_modules'), join(copy, 'node_modules'))
  for (const patch of patches) {
    writeFileSync(join(copy, 'dist', patch.file.replace(/\.ts$/, '.js')), compile(applyPatch(patch)))
  }
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

function compile (source: string): string {
  const { config } = ts.readConfigFile(join(packageRoot, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, packageRoot)
  // Only the text decides whether this is a module, and not the package.
  return ts.transpileModule(source, {
    compilerOptions: {
      ...options, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, noEmit: false
    }
  }).outputText
}
