import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { packageRoot } from '../../src/package-root.ts'
import { recordFormat } from '../../src/record/marker.ts'
import { scratchFolder } from '../support/app.ts'
import { compiledFile } from '../support/server-process.ts'
import type { Owner } from '../support/teardown.ts'

/** A build of the service, which replicas run. */
export interface Build {
  name: string
  /** The folder with its `dist`, its migrations and its package.json. */
  folder: string
  /** The number of the format in which it writes the record and the blocklist. */
  recordFormat: number
}

/** The description of the archive, in a file beside it. */
export interface ArchiveDescription {
  version: string
  commit: string
  recordFormat: number
  lastMigration: string
}

export const archiveFile: string = join(packageRoot, 'test', 'upgrade', 'previous.tgz')
export const descriptionFile: string = join(packageRoot, 'test', 'upgrade', 'previous.json')

const migrations = join('src', 'db', 'migrations')
const journal = join(migrations, 'meta', '_journal.json')

export const programOf = ({ folder }: Build): { file: string } => ({ file: join(folder, 'dist', 'src', 'server.js') })

/** Returns the build of the present source. */
export function presentBuild (): Build {
  compiledFile('server.js')
  return { name: 'new', folder: packageRoot, recordFormat }
}

export function readDescription (): ArchiveDescription {
  return JSON.parse(readFileSync(descriptionFile, 'utf8')) as ArchiveDescription
}

/** Unpacks the previous build. It uses the packages that are installed for the present one. */
export function previousBuild (t: Owner): Build {
  const folder = scratchFolder(t)
  execFileSync('tar', ['-xzf', archiveFile, '-C', folder])
  symlinkSync(join(packageRoot, 'node_modules'), join(folder, 'node_modules'))
  return { name: 'previous', folder, recordFormat: readDescription().recordFormat }
}

interface Change {
  name: string
  /** Texts of the compiled program, and what replaces each. A text must occur exactly once in one file. */
  patches?: Array<[find: string, replace: string]>
  /** The statement of one more migration. */
  migration?: string
  recordFormat?: number
}

/** The folders of `dist` that are no part of the service: the bundle of the plugin, and all declarations. */
const unused = ['plugins', '.declarations']

/** Copies a build, with changes. */
export function changeBuild (t: Owner, build: Build, change: Change): Build {
  const folder = scratchFolder(t)
  const isUsed = (path: string) => !unused.some(left => basename(path) === left) && !path.endsWith('.map')
  for (const path of ['dist', migrations, 'package.json']) {
    cpSync(join(build.folder, path), join(folder, path), { recursive: true, filter: isUsed })
  }
  symlinkSync(join(packageRoot, 'node_modules'), join(folder, 'node_modules'))
  for (const [find, replace] of change.patches ?? []) patch(join(folder, 'dist'), find, replace)
  if (change.migration !== undefined) addMigration(folder, change.migration)
  return { name: change.name, folder, recordFormat: change.recordFormat ?? build.recordFormat }
}

/** Returns a copy of a build that writes the next format, which the build itself does not know. */
export function withNextFormat (t: Owner, build: Build): Build {
  const next = build.recordFormat + 1
  return changeBuild(t, build, {
    name: 'next-format',
    patches: [[`recordFormat = ${build.recordFormat};`, `recordFormat = ${next};`]],
    migration: `UPDATE "records" SET "format" = ${next};`,
    recordFormat: next
  })
}

function patch (folder: string, find: string, replace: string): void {
  const found = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.js'))
    .map(path => join(folder, path))
    .flatMap(file => readFileSync(file, 'utf8').split(find).slice(1).map(() => file))
  const [file] = found
  if (file === undefined || found.length > 1) {
    throw new Error(`The build has ${JSON.stringify(find)} ${found.length} times, and must have it once.`)
  }
  writeFileSync(file, readFileSync(file, 'utf8').replace(find, () => replace))
}

interface Journal {
  entries: Array<{ idx: number, version: string, when: number, tag: string, breakpoints: boolean }>
}

function addMigration (folder: string, statement: string): void {
  const file = join(folder, journal)
  const { entries, ...rest } = JSON.parse(readFileSync(file, 'utf8')) as Journal
  const last = entries.at(-1)
  if (last === undefined) throw new Error(`${file} has no migration.`)
  const tag = `${String(last.idx + 1).padStart(4, '0')}_of_a_test`
  writeFileSync(join(dirname(file), '..', `${tag}.sql`), statement)
  entries.push({ ...last, idx: last.idx + 1, when: last.when + 1, tag })
  writeFileSync(file, JSON.stringify({ ...rest, entries }))
}

/** Packs the present build, and describes it. */
export function keepPresent (commit: string): ArchiveDescription {
  presentBuild()
  execFileSync('tar', [
    '-czf', archiveFile,
    ...[...unused, '*.map', '*.d.ts', '.built', '*_snapshot.json'].flatMap(left => ['--exclude', left]),
    'dist', migrations, 'package.json'
  ], { cwd: packageRoot })
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }
  const { entries } = JSON.parse(readFileSync(join(packageRoot, journal), 'utf8')) as Journal
  const description = { version, commit, recordFormat, lastMigration: entries.at(-1)?.tag ?? '' }
  writeFileSync(descriptionFile, `${JSON.stringify(description, null, 2)}\n`)
  return description
}
