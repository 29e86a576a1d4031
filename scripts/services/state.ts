import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
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
  writeFileSync(stateFile, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 })
}

/** Returns a secret that is created once and kept, because data that was created with it needs it again. */
export function keptSecret (name: string): string {
  const file = join(servicesDir, name)
  if (existsSync(file)) return readFileSync(file, 'utf8')
  mkdirSync(servicesDir, { recursive: true })
  const secret = randomBytes(32).toString('hex')
  writeFileSync(file, secret, { mode: 0o600 })
  return secret
}
