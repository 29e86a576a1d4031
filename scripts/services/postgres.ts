import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { composeUp, hasDockerEngine } from './docker.ts'
import { install } from './install.ts'
import { findMemoryFolder } from './memory-folder.ts'
import { ServicesError, findFreePort, findProgramFolder, run, succeeds } from './programs.ts'
import { servicesDir, type PostgresService } from './state.ts'

/** Finds, starts or installs a Postgres, in that order. */
export async function ensurePostgres (
  before: PostgresService | undefined, say: (line: string) => void
): Promise<PostgresService> {
  const named = process.env['DATABASE_URL']
  if (named !== undefined && named !== '') {
    if (await answers(named)) return { url: named, source: 'environment' }
    throw new ServicesError('DATABASE_URL names a Postgres that does not answer: start it, or unset the variable.')
  }
  if (before?.source === 'docker' && await answers(before.url)) return before
  // After a restart of the machine another server may have the port that ours had.
  if (before?.source === 'started' && await ask(before.url, 'show data_directory') === before.dataDir) return before
  if (findProgramFolder('initdb', 'pg_ctl') === undefined) {
    if (hasDockerEngine()) return { url: await composeUp('postgres'), source: 'docker' }
    install('postgres', say)
  }
  return await start(before)
}

async function start (before: PostgresService | undefined): Promise<PostgresService> {
  if (before?.dataDir !== undefined) stopPostgres(before)
  // A scratch server need not survive a power cut, so it does not wait for the disk. In memory its log has to be small.
  return await startIn(makeDataDir, '-c fsync=off -c max_wal_size=256MB')
}

/** Starts a Postgres that its caller stops again. It waits for the disk, as a production server does. */
export async function scratchPostgres (): Promise<{ url: string, dataDir: string, stop: () => void }> {
  const service = await startIn(user => makeScratchDir(user), '')
  return { url: service.url, dataDir: service.dataDir, stop: () => { stopPostgres(service) } }
}

async function startIn (makeDir: (user: User) => string, more: string): Promise<PostgresService & { dataDir: string }> {
  const binDir = findProgramFolder('initdb', 'pg_ctl')
  if (binDir === undefined) {
    throw new ServicesError(
      'Postgres was installed, but its programs initdb and pg_ctl were not found: set DATABASE_URL to a running one.'
    )
  }
  const user = unprivilegedUser()
  const dataDir = makeDir(user)
  run(
    join(binDir, 'initdb'),
    ['-D', dataDir, '-U', 'signout', '--auth=trust', '--no-sync', '-E', 'UTF8', '--no-locale'],
    { ...user, cwd: '/' }
  )
  const port = await findFreePort()
  const settings =
    `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200 ${more}`
  run(
    join(binDir, 'pg_ctl'),
    ['-w', '-t', '30', '-D', dataDir, '-l', join(dataDir, 'server.log'), '-o', settings, 'start'],
    { ...user, cwd: '/' }
  )
  return { url: `postgres://signout@127.0.0.1:${port}/postgres`, source: 'started', dataDir, binDir }
}

/** Stops the Postgres that we started, and removes its data. */
export function stopPostgres ({ dataDir, binDir }: PostgresService): void {
  if (dataDir === undefined || binDir === undefined || !existsSync(dataDir)) return
  // A server that was killed, or went down with the machine, leaves its postmaster.pid behind.
  if (existsSync(join(dataDir, 'postmaster.pid')) && isRunning(binDir, dataDir)) {
    run(join(binDir, 'pg_ctl'), ['-w', '-m', 'immediate', '-D', dataDir, 'stop'], { ...unprivilegedUser(), cwd: '/' })
  }
  rmSync(dataDir, { recursive: true, force: true })
}

function isRunning (binDir: string, dataDir: string): boolean {
  return succeeds(join(binDir, 'pg_ctl'), ['-D', dataDir, 'status'], { ...unprivilegedUser(), cwd: '/' })
}

interface User { uid?: number, gid?: number }

/** Returns the user that Postgres runs as. Postgres refuses to run as root. */
export function unprivilegedUser (): User {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string) => Number(run('id', [flag, 'postgres']))
  return { uid: id('-u'), gid: id('-g') }
}

/**
 * Creates a data folder: in memory if the system has a folder for that, otherwise below the checkout if that user can
 * write there, otherwise in the temporary folder of the system.
 */
function makeDataDir (user: User): string {
  const memory = findMemoryFolder()
  if (memory !== undefined) return makeScratchDir(user, memory)
  const dataDir = join(servicesDir, 'postgres')
  rmSync(dataDir, { recursive: true, force: true })
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  if (user.uid === undefined || user.gid === undefined) return dataDir
  chownSync(dataDir, user.uid, user.gid)
  try {
    run('test', ['-w', dataDir], { ...user, cwd: '/' })
    return dataDir
  } catch {
    return makeScratchDir(user)
  }
}

function makeScratchDir ({ uid, gid }: User, parent = tmpdir()): string {
  const dataDir = mkdtempSync(join(parent, 'signout-postgres-'))
  if (uid !== undefined && gid !== undefined) chownSync(dataDir, uid, gid)
  return dataDir
}

async function answers (url: string): Promise<boolean> {
  return await ask(url, 'select 1') !== undefined
}

/** Asks a query within a bound, and returns the first value. Returns undefined without an answer. */
async function ask (url: string, query: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000, query_timeout: 2_000 })
  client.on('error', () => { /* `connect` or `query` rejects with it. */ })
  try {
    await client.connect()
    const { rows } = await client.query({ text: query, rowMode: 'array' })
    return rows[0]?.[0]
  } catch {
    return undefined
  } finally {
    client.end().catch(() => {})
  }
}
