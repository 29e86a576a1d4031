import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ServicesError, findProgramFolder, run } from '../../scripts/services/programs.ts'
import { servicesDir } from '../../scripts/services/state.ts'
import { packageRoot } from '../../src/package-root.ts'

/** The folder of the generators and of what they make. Git ignores it. */
export const workplace = join(servicesDir, 'generators')
export const programs = join(import.meta.dirname, 'programs')
const manifest = join(import.meta.dirname, 'packages.json')
/** Debian's packages, by a program that each brings. */
const systemPackages = { go: 'golang-go', javac: 'default-jdk-headless', python3: 'python3' }

/** Returns the path of a file of an installed package. */
export const installed = (path: string) => join(workplace, 'node_modules', path)

/** Installs the generators, unless these versions are there. */
export function installGenerators (): void {
  mkdirSync(workplace, { recursive: true })
  const copy = join(workplace, 'package.json')
  const wanted = readFileSync(manifest, 'utf8')
  if (existsSync(copy) && readFileSync(copy, 'utf8') === wanted && existsSync(installed('orval'))) return
  rmSync(copy, { force: true })
  writeFileSync(join(workplace, 'wanted.json'), wanted)
  cpSync(manifest, copy)
  try {
    // orval and hey-api ask for a newer Node than this one may be. They run on the Node that comes along.
    run('npm', ['install', '--no-audit', '--no-fund', '--force'], { cwd: workplace, timeoutMs: 600_000 })
  } catch (error) {
    rmSync(copy, { force: true })
    throw error
  }
}

/** Installs a compiler with apt-get, unless it is there. */
export function needProgram (program: keyof typeof systemPackages, further: string[] = []): void {
  if (findProgramFolder(program) !== undefined && further.length === 0) return
  try {
    run('apt-get', ['install', '-y', '-q', systemPackages[program], ...further], { timeoutMs: 600_000 })
  } catch (cause) {
    throw new ServicesError(`${program} is needed: install ${systemPackages[program]} (${(cause as Error).message}).`)
  }
}

/** Makes an empty folder for a generator, with the documents. */
export function emptyFolder (name: string): string {
  const folder = join(workplace, name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const file of ['openapi.json', 'openapi-3.0.json']) cpSync(join(packageRoot, file), join(folder, file))
  return folder
}

/** Fails if the output of a generator has a warning that says something about the document. */
export function refuseWarnings (output: string): void {
  const warnings = output.split('\n').filter(line => /\bwarn|deprecat/i.test(line) && !known.test(line))
  if (warnings.length > 0) throw new ServicesError(`The generator warns:\n${warnings.join('\n')}`)
}

/** Printed for every document: a notice to authors of templates. */
const known = /has deprecated the use of vendor extensions which don't follow lower-kebab casing/
