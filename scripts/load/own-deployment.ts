import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { packageRoot } from '../../src/package-root.ts'
import { composeDown, composeUp, hasDockerEngine } from '../services/docker.ts'
import { install } from '../services/install.ts'
import { scratchPostgres } from '../services/postgres.ts'
import { findFreePort, findProgramFolder } from '../services/programs.ts'
import { isInstalled, startRedis } from '../services/redis.ts'
import { LoadError } from './failure.ts'

/** A Compose project of its own, which is removed with its volumes. */
const project = 'signout-load'
const startMs = 30_000
/** Longer than a replica takes to finish its requests. */
const stopMs = 12_000

/** Replicas, a Redis and a Postgres that were started for one run. */
export interface OwnDeployment {
  urls: URL[]
  /** Stops all of it, and removes its data. */
  stop (): Promise<void>
}

export interface StartOptions {
  say: (line: string) => void
  signal: AbortSignal
}

interface Part { stop: () => Promise<void> | void }

/**
 * Starts replicas with a Redis and a Postgres of their own. They come from installed programs, or else from Docker, or
 * else the programs are installed. Rejects with a `LoadError` or a `ServicesError` if something is wrong or the run was
 * interrupted. By then everything is stopped again.
 */
export async function startOwnDeployment (replicas: number, { say, signal }: StartOptions): Promise<OwnDeployment> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'signout-load-')))
  const parts: Part[] = [{ stop: () => { rmSync(folder, { recursive: true, force: true }) } }]
  // In reverse order: the replicas close before their servers.
  const stop = async () => { for (let part = parts.pop(); part !== undefined; part = parts.pop()) await part.stop() }
  try {
    const { databaseUrl, redisUrl } = await startServers(folder, parts, say)
    await heed(signal)
    const ports: number[] = []
    for (let index = 0; index < replicas; index++) ports.push(await findFreePort())
    const env = {
      PATH: process.env['PATH'],
      DATABASE_URL: databaseUrl,
      REDIS_URL: redisUrl,
      ISSUER: `http://127.0.0.1:${ports[0]}`,
      KEY_ENCRYPTION_SECRET: randomBytes(32).toString('hex'),
      RATE_LIMITS: 'off'
    }
    const running = ports.map(port => spawnReplica(folder, port, env))
    parts.push({ stop: () => stopAll(running) })
    await Promise.all(running.map(replica => whenReady(replica, signal)))
    return { urls: ports.map(port => new URL(`http://127.0.0.1:${port}`)), stop }
  } catch (error) {
    await stop()
    // In a terminal, Ctrl-C also reaches the programs that run now. Their failures are then reported as the
    // interruption.
    await heed(signal)
    throw error
  }
}

/**
 * Throws a `LoadError` if the run was interrupted. A program that was run to its end has blocked the event loop, so
 * signals are only received after a turn of it.
 */
async function heed (signal: AbortSignal): Promise<void> {
  await nextTurn()
  await nextTurn()
  if (signal.aborted) throw new LoadError('Interrupted before the load began: there is nothing to report.')
}

async function startServers (
  folder: string, parts: Part[], say: (line: string) => void
): Promise<{ databaseUrl: string, redisUrl: string }> {
  const isComplete = () => isInstalled() && findProgramFolder('initdb', 'pg_ctl') !== undefined
  if (!isComplete() && hasDockerEngine()) {
    parts.push({
      stop: () => { composeDown(project, ['--volumes']) }
    })
    return { databaseUrl: await composeUp('postgres', project), redisUrl: await composeUp('redis', project) }
  }
  if (!isInstalled()) install('redis', say)
  if (!isComplete()) install('postgres', say)
  const postgres = await scratchPostgres()
  parts.push(postgres)
  const redis = await startRedis(folder)
  parts.push(redis)
  return { databaseUrl: postgres.url, redisUrl: redis.url }
}

interface RunningReplica {
  port: number
  child: ChildProcess
  ended: Promise<void>
  logFile: string
}

/**
 * Starts a replica in a process group of its own, so that Ctrl-C in a terminal reaches it through `stop` alone. Its log
 * goes to a file, as in production.
 */
function spawnReplica (folder: string, port: number, env: NodeJS.ProcessEnv): RunningReplica {
  const logFile = join(folder, `replica-${port}.log`)
  const log = openSync(logFile, 'a')
  const child = spawn(process.execPath, [join(packageRoot, 'dist', 'src', 'server.js')], {
    env: { ...env, PORT: String(port) }, cwd: folder, stdio: ['ignore', log, log], detached: true
  })
  closeSync(log)
  return { port, child, logFile, ended: new Promise(resolve => { child.once('close', () => { resolve() }) }) }
}

async function whenReady ({ port, child, logFile }: RunningReplica, signal: AbortSignal): Promise<void> {
  const giveUpAt = performance.now() + startMs
  for (;;) {
    const isReady = await fetch(`http://127.0.0.1:${port}/health/ready`, { signal: AbortSignal.timeout(2_000) }).then(
      ({ ok }) => ok, () => false
    )
    if (isReady) return
    await heed(signal)
    if (child.exitCode !== null || child.signalCode !== null || performance.now() > giveUpAt) {
      throw new LoadError(`A replica does not start: ${readFileSync(logFile, 'utf8').trim().split('\n').at(-1) ?? ''}`)
    }
    await sleep(50)
  }
}

async function stopAll (replicas: RunningReplica[]): Promise<void> {
  for (const { child } of replicas) child.kill('SIGTERM')
  const timer = setTimeout(() => { for (const { child } of replicas) child.kill('SIGKILL') }, stopMs)
  await Promise.all(replicas.map(({ ended }) => ended))
  clearTimeout(timer)
}
