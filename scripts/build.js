// Builds src, plugins and routes into dist, unless nothing has changed since: one bundle for each entry point, and the
// declarations of all files, which only other packages need. `npm start` does without: --without-declarations.
// Plain JavaScript, since it runs before anything is compiled.
//
// A process starts twice as fast from a bundle. Packages of many small modules are in it: scripts/bundled-packages.js.
// All others are loaded from node_modules.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, relative, sep } from 'node:path'
import { commonJs, esModules, optionsFor } from './bundled-packages.js'

refuseOldNode()
const root = join(import.meta.dirname, '..')
const folders = ['src', 'plugins', 'routes']
const sources = folders.map(folder => join(root, folder))
const dist = join(root, 'dist')
const bundled = [...esModules, ...commonJs].sort()
/** Everything that is imported from outside, and the programs. */
const entryPoints = ['src/cli.ts', 'src/server.ts', 'src/app.ts', 'src/config.ts', 'plugins/auth/auth.ts']

const hasDeclarations = !process.argv.includes('--without-declarations')
/** Files whose times say when the bundles, and when the declarations too, were built. */
const stamps = { bundles: join(dist, '.bundled'), all: join(dist, '.built') }

if (!isUpToDate(hasDeclarations ? stamps.all : stamps.bundles)) {
  process.stderr.write('Building the sources into dist.\n')
  const status = hasDeclarations ? declare() : 0
  if (status === 0) await bundle()
  else process.exitCode = status
}

/** Checks the types, writes the declarations, and returns the exit code. */
function declare () {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
  return spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit' }).status ?? 1
}

async function bundle () {
  const { build } = await import('esbuild')
  const { metafile } = await build({
    ...optionsFor(bundled),
    absWorkingDir: root,
    entryPoints: entryPoints.filter(path => existsSync(join(root, path))),
    outdir: dist,
    outbase: '.',
    chunkNames: 'chunks/[name]-[hash]',
    sourcemap: true,
    sourcesContent: false,
    metafile: true
  })
  writeFileSync(join(dist, 'LICENSES.txt'), `${bundled.map(describeLicense).join('\n\n')}\n`)
  removeLeftovers(new Set(Object.keys(metafile.outputs).map(path => relative(dist, join(root, path)))))
  writeFileSync(stamps.bundles, '')
  if (hasDeclarations) writeFileSync(stamps.all, '')
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

/** Removes the bundles and the declarations of earlier builds. A package would contain them. */
function removeLeftovers (outputs) {
  const kept = new Set([...outputs, '.tsbuildinfo', '.built', '.bundled', 'LICENSES.txt'])
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    const path = relative(dist, join(entry.parentPath ?? entry.path, entry.name))
    if (entry.isFile() ? !kept.has(path) && !isDeclaration(path) : !hasSource(path)) {
      rmSync(join(dist, path), { recursive: true, force: true })
    }
  }
}

function isDeclaration (path) {
  return path.endsWith('.d.ts') && hasSource(path.replace(/\.d\.ts$/, '.ts'))
}

/** Returns true if a file or a folder of dist, by its path in dist, still has a source. */
function hasSource (path) {
  return path === 'chunks' || (folders.includes(path.split(sep)[0]) && existsSync(join(root, path)))
}
