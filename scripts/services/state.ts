import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../src/package-root.ts'

/** Everything that `npm run services` makes lies below this folder, which git ignores. */
export const servicesDir: string = join(packageRoot, '.services')

/** A server that the tests can use. */
export interface Service {
  url: string
  /** Where it comes from: named by a variable, started by us, or run by Docker. */
  source: 'environment' | 'started' | 'docker'
}

export interface PostgresService extends Service {
  /** The folder of its data, when we started it. */
  dataDir?: string
  /** The folder of the programs that it was started with. */
  binDir?: string
}

export interface ServicesState {
  redis?: Service
  postgres?: PostgresService
}

const stateFile = join(servicesDir, 'state.json')

/** What the last run found or started; empty before the first. */
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

/** A secret that is made up once and kept, for what was made with it can only be opened with it again. */
export function keptSecret (name: string): string {
  const file = join(servicesDir, name)
  if (existsSync(file)) return readFileSync(file, 'utf8')
  mkdirSync(servicesDir, { recursive: true })
  const secret = randomBytes(32).toString('hex')
  writeFileSync(file, secret, { mode: 0o600 })
  return secret
}
