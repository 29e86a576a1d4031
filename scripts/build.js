// Compiles src, plugins and routes into dist, unless nothing has changed since. Plain JavaScript, since it runs before
// anything is compiled.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const sources = ['src', 'plugins', 'routes'].map(folder => join(root, folder))
const stamp = join(root, 'dist', '.tsbuildinfo')

if (!isUpToDate()) {
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
  const { status } = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit' })
  process.exitCode = status ?? 1
}

function isUpToDate () {
  if (!existsSync(stamp)) return false
  const builtAt = statSync(stamp).mtimeMs
  // A folder's own time changes when a file is removed from it.
  const inputs = [join(root, 'tsconfig.json'), join(root, 'tsconfig.build.json'), ...sources.flatMap(walk)]
  return inputs.every(path => statSync(path).mtimeMs <= builtAt)
}

function walk (folder) {
  return [folder, ...readdirSync(folder, { recursive: true }).map(name => join(folder, name))]
}
