import { spawn, type ChildProcess } from 'node:child_process'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { unprivilegedUser } from '../../scripts/services/postgres.ts'
import { findFreePort, findProgramFolder, run } from '../../scripts/services/programs.ts'
import type { Owner } from './teardown.ts'
import { until } from './wait.ts'

/** A Postgres that belongs to one test, which may do anything to it. */
export interface OwnPostgres {
  url: string
  port: number
  /** Sends SIGSTOP to each of its processes: it keeps its connections and stalls. */
  pause (): void
  /** Sends SIGCONT. */
  resume (): void
  /** Ends it at once, without writing its memory to the disk. Committed data is in its write-ahead log. */
  kill (): Promise<void>
  /** Starts it again on the same port. It recovers from its write-ahead log. */
  start (): Promise<void>
}

/** True if the programs of Postgres are installed. They are not if only Docker is available. */
export const canOwnPostgres = findProgramFolder('initdb', 'postgres') !== undefined

export async function ownPostgres (t: Owner): Promise<OwnPostgres> {
  const binDir = findProgramFolder('initdb', 'postgres')
  if (binDir === undefined) throw new Error('There is no Postgres to start here.')
  const as = { ...unprivilegedUser(), cwd: '/' }
  const dataDir = mkdtempSync(join(tmpdir(), 'signout-test-postgres-'))
  if (as.uid !== undefined && as.gid !== undefined) chownSync(dataDir, as.uid, as.gid)
  t.teardown(() => { rmSync(dataDir, { recursive: true, force: true }) })
  // Data that is not on the disk survives the end of a process, but not a power cut.
  run(
    join(binDir, 'initdb'),
    ['-D', dataDir, '-U', 'signout', '--auth=trust', '--no-sync', '-E', 'UTF8', '--no-locale'],
    as
  )
  const port = await findFreePort()
  const url = `postgres://signout@127.0.0.1:${port}/postgres`
  let server: ChildProcess | undefined

  const processes = () =>
    run('ps', ['-o', 'pid=', '--ppid', String(server?.pid), '--pid', String(server?.pid)])
      .trim()
      .split(/\s+/)
      .map(Number)
  function signal (name: 'SIGSTOP' | 'SIGCONT'): void {
    for (const pid of processes()) {
      try {
        process.kill(pid, name)
      } catch (error) {
        // A process for one connection may have ended since.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    }
  }
  async function kill (): Promise<void> {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
    const ended = new Promise(resolve => { server?.once('exit', resolve) })
    signal('SIGCONT')
    server.kill('SIGQUIT')
    await ended
  }
  async function start (): Promise<void> {
    const settings = [
      'listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off', 'max_connections=100'
    ].flatMap(setting => ['-c', setting])
    server = spawn(join(binDir as string, 'postgres'), ['-D', dataDir, '-p', String(port), ...settings], {
      ...as, stdio: 'ignore'
    })
    await until('Postgres answers', () => answers(url), 30_000)
  }

  t.teardown(kill)
  await start()
  return { url, port, pause: () => { signal('SIGSTOP') }, resume: () => { signal('SIGCONT') }, kill, start }
}

async function answers (url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000, query_timeout: 1_000 })
  client.on('error', () => { /* `connect` or `query` rejects with it. */ })
  try {
    await client.connect()
    await client.query('select 1')
    return true
  } catch {
    return false
  } finally {
    client.end().catch(() => {})
  }
}
