// Compiles src, plugins and routes into dist, unless nothing has changed since. Removes compiled files without a
// source. Plain JavaScript, because it runs before anything is compiled.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, sep } from 'node:path'

const root = join(import.meta.dirname, '..')
const folders = ['src', 'plugins', 'routes']
const sources = folders.map(folder => join(root, folder))
const dist = join(root, 'dist')
const stamp = join(dist, '.tsbuildinfo')

if (!isUpToDate()) {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
  const { status } = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit' })
  process.exitCode = status ?? 1
}
removeLeftovers()

function isUpToDate () {
  if (!existsSync(stamp)) return false
  const builtAt = statSync(stamp).mtimeMs
  // The time of a folder changes when a file is removed from it.
  const inputs = [join(root, 'tsconfig.json'), join(root, 'tsconfig.build.json'), ...sources.flatMap(walk)]
  return inputs.every(path => statSync(path).mtimeMs <= builtAt)
}

function walk (folder) {
  return [folder, ...readdirSync(folder, { recursive: true }).map(name => join(folder, name))]
}

/** The compiler leaves the output of a removed source in dist, and a package would contain it. */
function removeLeftovers () {
  if (!existsSync(dist)) return
  for (const name of readdirSync(dist, { recursive: true })) {
    if (name !== '.tsbuildinfo' && !hasSource(name)) rmSync(join(dist, name), { recursive: true, force: true })
  }
}

/** Returns true if a file or a folder of dist, by its path in dist, still has a source. */
function hasSource (name) {
  const [folder] = name.split(sep)
  return folders.includes(folder) && existsSync(join(root, name.replace(/(\.d\.ts|\.js|\.js\.map)$/, '.ts')))
}
