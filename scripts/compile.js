// Compiles src, plugins, routes, client, scripts and test into .build, for the tests. Compiles file by file, and does
// not check types, which `npm run typecheck` does. Compiles only files that have changed, copies files that are not
// TypeScript, and removes files without a source. Plain JavaScript, because it runs before anything is compiled.
//
// Packages of many small modules become one file each, in .build/node_modules, where the compiled files find them
// first. A test process then starts in half the time.
import {
  copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import { esModules, isOf, optionsFor } from './bundled-packages.js'

const root = join(import.meta.dirname, '..')
const build = join(root, '.build')
const folders = ['src', 'plugins', 'routes', 'client', 'scripts', 'test']
/** When one of these changes, everything is compiled again. */
const settings = ['tsconfig.json', 'package-lock.json', 'scripts/compile.js', 'scripts/bundled-packages.js']
/** The folder of the bundled packages, and the file that lists what is in it. */
const packages = join(build, 'node_modules')
const listed = join(packages, '.bundled.json')

const isSource = path => /(?<!\.d)\.ts$/.test(path)
const targetOf = path => join(build, path.replace(/(?<!\.d)\.ts$/, '.js'))
const changedAt = path => existsSync(path) ? statSync(path).mtimeMs : -Infinity

const settingsChangedAt = Math.max(...settings.map(path => changedAt(join(root, path))))
const files = folders.flatMap(folder => filesIn(root, folder))
const changed = files.filter(path =>
  changedAt(targetOf(path)) <= Math.max(changedAt(join(root, path)), settingsChangedAt))

for (const path of changed.filter(path => !isSource(path))) copy(path)
if (changed.some(isSource)) await compile(changed.filter(isSource))
removeLeftovers()
await bundlePackages()

/** Bundles the packages, unless the same was done before. */
async function bundlePackages () {
  const sources = files.filter(isSource).map(path => readFileSync(join(root, path), 'utf8'))
  const imports = [...new Set(sources.flatMap(importsOf))].sort()
  const list = JSON.stringify(imports)
  if (changedAt(listed) > settingsChangedAt && readFileSync(listed, 'utf8') === list) return
  rmSync(packages, { recursive: true, force: true })
  const { build } = await import('esbuild')
  await build({
    ...optionsFor(esModules),
    absWorkingDir: root,
    entryPoints: imports.map(path => ({ in: path, out: esModules.includes(path) ? join(path, 'index') : path })),
    outdir: packages,
    chunkNames: '.chunks/[hash]'
  })
  for (const name of esModules) {
    writeFileSync(
      join(packages, name, 'package.json'),
      JSON.stringify({ name, type: 'module', exports: { '.': './index.js', './*': './*.js' } })
    )
  }
  writeFileSync(listed, list)
}

/** Returns what a source imports of the packages that are bundled. */
function importsOf (source) {
  return [...source.matchAll(/\b(?:from |import\()'([^'./][^']*)'/g)].map(([, path]) => path)
    .filter(path => isOf(esModules, path))
}

function copy (path) {
  mkdirSync(dirname(targetOf(path)), { recursive: true })
  copyFileSync(join(root, path), targetOf(path))
}

/** Compiles each file separately. Its imports stay, and name compiled files. */
async function compile (paths) {
  const { build: bundle } = await import('esbuild')
  await bundle({
    absWorkingDir: root,
    entryPoints: paths,
    outdir: build,
    outbase: root,
    bundle: true,
    treeShaking: false,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
    plugins: [{
      name: 'imports stay',
      setup ({ onResolve }) {
        onResolve({ filter: /./ }, ({ path, kind }) =>
          kind === 'entry-point' ? undefined : { path: path.replace(/^(\..*)\.ts$/, '$1.js'), external: true })
      }
    }]
  })
}

function removeLeftovers () {
  const expected = new Set(files.map(targetOf).flatMap(path => [path, `${path}.map`]))
  for (const path of folders.flatMap(folder => filesIn(build, folder))) {
    if (!expected.has(join(build, path))) rmSync(join(build, path))
  }
}

/** Returns the files in a folder, by their paths below `top`. */
function filesIn (top, folder) {
  if (!existsSync(join(top, folder))) return []
  return readdirSync(join(top, folder), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath ?? entry.path, entry.name).slice(top.length + 1))
}
