import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../src/package-root.ts'
import { scratchFolder } from '../support/app.ts'
import { undisturbed } from '../support/undisturbed.ts'
import type { Owner } from '../support/teardown.ts'
import { blocks, read } from '../docs/markdown.ts'

/** The README in the package of the plugin. */
export const readme = read('plugins/auth/package/README.md')
/** The oldest and the newest versions of the peers that the README names. */
export const oldestPeers = { fastify: '5.0.0', '@fastify/jwt': '10.2.7', ioredis: '5.4.0' }
export const newestPeers = { fastify: '5', '@fastify/jwt': '10', ioredis: '6' }

export type Manager = 'npm' | 'pnpm'
/** The version of pnpm that runs on Node 20. */
const pnpm = 'pnpm@10'
const installTimeoutMs = 300_000

/** Packages by their names, with a version or the path of a tarball. */
export type Dependencies = Record<string, string>

/** Creates an empty app. */
export function emptyApp (owner: Owner): string {
  const folder = scratchFolder(owner)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'app', private: true, type: 'module' }))
  return folder
}

/** Installs packages into an app, as a person would. Throws with the output of the package manager if that fails. */
export function install (folder: string, dependencies: Dependencies, manager: Manager = 'npm'): void {
  const names = Object.entries(dependencies).map(([name, version]) => `${name}@${version}`)
  const args = manager === 'npm'
    ? ['npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', '--prefix', folder, ...names]
    : ['npx', '--yes', pnpm, 'add', '--prefer-offline', '--dir', folder, ...names]
  const [program = '', ...rest] = args
  execFileSync(...undisturbed(program, rest), { cwd: folder, stdio: 'pipe', timeout: installTimeoutMs })
}

/** The packages that an app has installed. */
export interface Installed {
  packages: number
  megabytes: number
}

/** Counts the packages that npm has installed into an app, and the sizes of their files. */
export function measure (folder: string): Installed {
  const modules = join(folder, 'node_modules')
  const { packages } = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8')) as { packages: object }
  const bytes = readdirSync(modules, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
  return { packages: Object.keys(packages).length, megabytes: bytes / 1e6 }
}

/** Writes the example of the README into an app, also as TypeScript, and the files of test/package/types. */
export function writeSources (folder: string): void {
  const [example = ''] = blocks(readme, 'js')
  const [declaration = ''] = blocks(readme, 'ts')
  writeFileSync(join(folder, 'app.mjs'), example)
  const types = join(folder, 'types')
  mkdirSync(types)
  writeFileSync(join(types, 'app.ts'), `${example}\n${declaration}`)
  cpSync(join(packageRoot, 'test', 'package', 'types'), types, { recursive: true })
}

/** Writes a program for {@link typeErrors} into an app. */
export function writeProgram (folder: string, name: string, lines: string[]): void {
  mkdirSync(join(folder, 'types'))
  writeFileSync(join(folder, 'types', name), `${lines.join('\n')}\n`)
}

/** The folder of the program that declares decorators of its own. */
export const ownDecorators: string = join('types', 'trusted')
/** The two ways in which TypeScript finds the types of a package today. */
export const resolutions = ['nodenext', 'bundler'] as const
export type Resolution = typeof resolutions[number]

/**
 * Compiles the sources of an app with all types checked. Returns the errors; an empty text if there are none.
 *
 * @param within the folder of the sources: they are one program
 * @param ending `.js` for programs in JavaScript, whose comments have the types
 */
export function typeErrors (
  folder: string, compiler: string, resolution: Resolution, within = 'types', ending: '.ts' | '.js' = '.ts'
): string {
  const files = readdirSync(join(folder, within)).filter(name => name.endsWith(ending)).map(name => join(within, name))
  const [program, args] = undisturbed(process.execPath, [
    compiler, '--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2022', '--types', 'node',
    ...ending === '.js' ? ['--allowJs', '--checkJs'] : [],
    '--module', resolution === 'nodenext' ? 'nodenext' : 'esnext', '--moduleResolution', resolution, ...files
  ])
  try {
    execFileSync(program, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' })
    return ''
  } catch (error) {
    return String((error as { stdout?: string }).stdout || error)
  }
}

/** Returns what `require('fastify-signout')` returns in an app: the type of each export. */
export function requireIt (folder: string, node = process.execPath): Record<string, string> {
  const program = `
    const types = Object.entries(require('fastify-signout')).map(([name, value]) => [name, typeof value])
    console.log(JSON.stringify(Object.fromEntries(types)))`
  const output = execFileSync(...undisturbed(node, ['--input-type=commonjs', '-e', program]), {
    cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore']
  })
  return JSON.parse(output) as Record<string, string>
}
