import { randomBytes } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../src/package-root.ts'

/** The folder of everything that `npm run services` creates. Git ignores it. */
export const servicesDir: string = join(packageRoot, '.services')

/** A server that the tests can use. */
export interface Service {
  url: string
  /** The origin: named by a variable, started by us, or run by Docker. */
  source: 'environment' | 'started' | 'docker'
}

export interface PostgresService extends Service {
  /** The data folder, if we started it. */
  dataDir?: string
  /** The folder of the programs that started it. */
  binDir?: string
}

export interface ServicesState {
  redis?: Service
  postgres?: PostgresService
}

const stateFile = join(servicesDir, 'state.json')

/** Returns the servers that the last run found or started; empty before the first. */
export function readState (): ServicesState {
  try {
    return JSON.parse(readFileSync(stateFile, 'utf8')) as ServicesState
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
}

export function writeState (state: ServicesState): void {
  mkdirSync(servicesDir, { recursive: true })
  replaceFile(stateFile, `${JSON.stringify(state, null, 2)}\n`)
}

/**
 * Writes a file that other processes may read at any moment: they see the old text or the new one, never a part. Only
 * this user may read it.
 */
export function replaceFile (file: string, text: string): void {
  renameSync(writeBeside(file, text), file)
}

/**
 * Returns a secret that is created once and kept, because data that was created with it needs it again. Two processes
 * that create it at the same time get the same one.
 */
export function keptSecret (name: string): string {
  const file = join(servicesDir, name)
  if (!existsSync(file)) {
    mkdirSync(servicesDir, { recursive: true })
    createFile(file, randomBytes(32).toString('hex'))
  }
  return readFileSync(file, 'utf8')
}

/** Creates a file as {@link replaceFile} writes it, unless it exists: of two processes that create it, one does. */
export function createFile (file: string, text: string): void {
  const written = writeBeside(file, text)
  try {
    linkSync(written, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(written)
  }
}

function writeBeside (file: string, text: string): string {
  const written = `${file}.${process.pid}.new`
  writeFileSync(written, text, { mode: 0o600 })
  return written
}
