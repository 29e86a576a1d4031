// Builds src, plugins, routes and client into dist, unless nothing has changed since: the bundles of the service, of
// the plugin and of the client, and for what other packages import one declaration file each. `npm start` does without
// declarations: --without-declarations. Plain JavaScript, since it runs before anything is compiled.
//
// A process starts twice as fast from a bundle. Packages of many small modules are in it: scripts/bundled-packages.js.
// All others are loaded from node_modules.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isAbsolute, join, relative, sep } from 'node:path'
import { commonJs, esModules, optionsFor } from './bundled-packages.js'

refuseOldNode()
const root = join(import.meta.dirname, '..')
const isThere = path => existsSync(join(root, path))
// The image is built without the client.
const folders = ['src', 'plugins', 'routes', 'client'].filter(isThere)
const sources = folders.map(folder => join(root, folder))
const dist = join(root, 'dist')
const bundled = [...esModules, ...commonJs].sort()
/** The programs of the service, and what other packages import of it. They share chunks. */
const service = ['src/cli.ts', 'src/server.ts', 'src/app.ts', 'src/config.ts'].filter(isThere)
/** The plugin, which is a package of its own: scripts/pack.ts. */
const plugin = ['plugins/auth/auth.ts', 'plugins/auth/testing.ts'].filter(isThere)
/** The client, which is a package of its own too. It runs in browsers. */
const client = ['client/index.ts'].filter(isThere)
/** Types that no compiler writes: they are made from openapi.json. */
const madeTypes = 'client/openapi.d.ts'
/**
 * The files that other packages import. Of `trusted.ts`, only the types: its functions are in the bundle of the plugin.
 */
const declared = ['src/app.ts', 'src/config.ts', ...plugin, 'plugins/auth/trusted.ts', ...client].filter(isThere)
/** The declarations of all files, as the compiler writes them. No package has them. */
const declarations = '.declarations'

const hasDeclarations = !process.argv.includes('--without-declarations')
/** Files whose times say when the bundles, and when the declarations too, were built. */
const stamps = { bundles: join(dist, '.bundled'), all: join(dist, '.built') }

if (!isUpToDate(hasDeclarations ? stamps.all : stamps.bundles)) {
  process.stderr.write('Building the sources into dist.\n')
  const status = hasDeclarations ? declare() : 0
  if (status === 0) await buildAll()
  else process.exitCode = status
}

/** Checks the types, writes the declarations, and returns the exit code. */
function declare () {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
  const project = join(root, 'tsconfig.build.json')
  const { status } = spawnSync(process.execPath, [tsc, '-p', project], { stdio: 'inherit' })
  if (isThere(madeTypes)) cpSync(join(root, madeTypes), join(dist, declarations, madeTypes))
  return status ?? 1
}

async function buildAll () {
  const outputs = [...await bundle(), ...hasDeclarations ? await bundleDeclarations() : []]
  writeFileSync(join(dist, 'LICENSES.txt'), `${bundled.map(describeLicense).join('\n\n')}\n`)
  removeLeftovers(new Set([...outputs, '.built', '.bundled', 'LICENSES.txt']))
  writeFileSync(stamps.bundles, '')
  if (hasDeclarations) writeFileSync(stamps.all, '')
}

/** Bundles the service, the plugin and the client, and returns the paths of the files in dist. */
async function bundle () {
  const { build } = await import('esbuild')
  const common = { absWorkingDir: root, outdir: dist, outbase: '.', metafile: true }
  const results = await Promise.all([
    build({
      ...optionsFor(bundled),
      ...common,
      entryPoints: service,
      chunkNames: 'chunks/[name]-[hash]',
      sourcemap: true,
      sourcesContent: false
    }),
    // An app has the packages that the plugin imports, and should not get a second copy.
    build({ ...optionsFor([]), ...common, entryPoints: plugin, splitting: false, banner: {} }),
    build({ ...common, entryPoints: client, bundle: true, format: 'esm', platform: 'neutral', target: 'es2022' })
  ])
  return results.flatMap(({ metafile }) => Object.keys(metafile.outputs).map(path => relative(dist, join(root, path))))
}

/**
 * Puts the declarations of each entry point into one file, and returns their paths in dist. The file holds what can be
 * reached from the exports. It leads to no other file, and so to no library that only the insides use.
 */
async function bundleDeclarations () {
  const [{ rollup }, { dts }] = await Promise.all([import('rollup'), import('rollup-plugin-dts')])
  return await Promise.all(declared.map(async path => {
    const output = path.replace(/\.ts$/, '.d.ts')
    const bundle = await rollup({
      input: join(dist, declarations, output),
      plugins: [dts()],
      external: name => !name.startsWith('.') && !isAbsolute(name)
    })
    await bundle.write({ file: join(dist, output) })
    return output
  }))
}

/** Says in one line that Node is too old. Its errors would not. */
function refuseOldNode () {
  const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  const [oldest, used] = [engines.node.slice(2), process.versions.node].map(version => version.split('.').map(Number))
  if (used[0] > oldest[0] || (used[0] === oldest[0] && used[1] >= oldest[1])) return
  process.stderr.write(
    `signout needs Node ${oldest.join('.')} or newer, and this is Node ${process.versions.node}: install a newer one (nodejs.org).\n`
  )
  process.exit(1)
}

/** The name, the version and the license of a package, whose license asks that it goes with every copy. */
function describeLicense (name) {
  const folder = join(root, 'node_modules', name)
  const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const file = readdirSync(folder).find(file => /^licen[cs]e/i.test(file))
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').trim()
  return `${name} ${version} (${license})\n\n${text}`
}

function isUpToDate (stamp) {
  if (!existsSync(stamp)) return false
  const builtAt = statSync(stamp).mtimeMs
  // A folder's own time changes when a file is removed from it.
  const settings = [
    'tsconfig.json', 'tsconfig.build.json', 'package.json', 'scripts/build.js', 'scripts/bundled-packages.js'
  ]
  return [...settings.map(path => join(root, path)), ...sources.flatMap(walk)]
    .every(path => statSync(path).mtimeMs <= builtAt)
}

function walk (folder) {
  return [folder, ...readdirSync(folder, { recursive: true }).map(name => join(folder, name))]
}

/** Removes what earlier builds have left. A package would contain it. */
function removeLeftovers (kept) {
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    const path = relative(dist, join(entry.parentPath ?? entry.path, entry.name))
    const isKept = entry.isFile() ? kept.has(path) : [...kept].some(output => output.startsWith(`${path}${sep}`))
    if (!isKept && path.split(sep)[0] !== declarations) rmSync(join(dist, path), { recursive: true, force: true })
  }
}
