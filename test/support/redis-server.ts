import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { scratchFolder } from './app.ts'
import { atFreePort, redisProcess, redisServer, type RedisProcess } from './redis-process.ts'
import { randomName } from './services.ts'
import type { Owner } from './teardown.ts'

/** A redis-server that belongs to one test, which may do anything to it. */
export interface OwnRedis {
  url: string
  port: number
  /** Sends SIGSTOP: it keeps its connections and stalls. */
  pause (): void
  /** Sends SIGCONT. */
  resume (): void
  /** Sends SIGKILL, and waits for the end. */
  kill (): Promise<void>
  /** Ends it as `SHUTDOWN` does: it closes its connections in order. */
  stop (): Promise<void>
  /** Starts it again on the same port, without data or with the data of a snapshot. */
  start (snapshot?: Buffer): Promise<void>
  /** Returns what it holds now, as an RDB file. The keys in `without` are deleted first. */
  snapshot (without?: string[]): Promise<Buffer>
  /** A client for the test, to inspect and change the server. */
  admin: Redis
  /** Returns the address at which other such servers reach it. */
  peer (): { host: string, port: number }
}

/** The operations on the program, as a process or in a container. */
interface Program extends RedisProcess {
  peer (): { host: string, port: number }
}

/** True if one server can be the replica of another. Containers cannot reach each other here. */
export const canReplicate = redisServer !== undefined

const withoutData = ['--save', '', '--appendonly', 'no']

/** Starts a Redis for one test. It ends with the test. */
export function ownRedis (t: Owner): Promise<OwnRedis> {
  return atFreePort(port => ownRedisAt(t, port))
}

async function ownRedisAt (t: Owner, port: number): Promise<OwnRedis> {
  const url = `redis://127.0.0.1:${port}`
  const data = scratchFolder(t)
  const program = redisServer === undefined ? inDocker(port, data) : asProcess(port, data)
  const file = join(data, 'dump.rdb')
  t.teardown(() => program.kill())
  const start = () => startAndAsk(program, url)
  await start()
  const admin = new Redis(url, { lazyConnect: true })
  admin.on('error', () => { /* It is down. */ })
  t.teardown(() => { admin.disconnect() })
  return {
    url,
    port,
    admin,
    peer: () => program.peer(),
    pause: () => { program.signal('SIGSTOP') },
    resume: () => { program.signal('SIGCONT') },
    kill: () => program.kill(),
    async stop () {
      // It would otherwise be sent again, to the next server.
      const redis = new Redis(url, { retryStrategy: () => null })
      await redis.shutdown('NOSAVE').catch(() => { /* Its connection is closed too. */ })
      await program.kill()
    },
    start (snapshot) {
      if (snapshot === undefined) rmSync(file, { force: true })
      else writeFileSync(file, snapshot)
      return start()
    },
    async snapshot (without = []) {
      // In one packet, so that no other command comes in between.
      const pipeline = admin.pipeline()
      if (without.length > 0) pipeline.del(without)
      await pipeline.save().exec()
      return readFileSync(file)
    }
  }
}

/** Starts the program, and waits until it answers at its address. */
async function startAndAsk (program: Program, url: string): Promise<void> {
  const redis = new Redis(url, { retryStrategy: attempt => attempt < 200 ? 25 : null, maxRetriesPerRequest: null })
  redis.on('error', () => { /* It is still starting. */ })
  try {
    await program.start(redis)
  } finally {
    redis.disconnect()
  }
}

function asProcess (port: number, dir: string): Program {
  return {
    ...redisProcess(['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, ...withoutData]),
    peer: () => ({ host: '127.0.0.1', port })
  }
}

/**
 * Runs redis-server in a container, if only Docker is available. Pausing a container freezes its processes, as SIGSTOP
 * does.
 */
function inDocker (port: number, data: string): Program {
  const name = `signout-test-${randomName()}`
  const docker = (...args: string[]) => { execFileSync('docker', args, { stdio: 'ignore', timeout: 120_000 }) }
  return {
    async start (client) {
      docker(
        'run',
        '--rm',
        '--detach',
        '--name',
        name,
        '--publish',
        `127.0.0.1:${port}:6379`,
        '--volume',
        `${data}:/data`,
        '--user',
        `${process.getuid?.()}:${process.getgid?.()}`,
        'redis:7.4-alpine',
        'redis-server',
        ...withoutData
      )
      await client.ping()
    },
    signal (signal) { docker(signal === 'SIGSTOP' ? 'pause' : 'unpause', name) },
    async kill () {
      try {
        docker('rm', '--force', name)
      } catch {
        // It was removed before.
      }
    },
    peer: () => ({
      host: execFileSync('docker', ['inspect', '--format', '{{.NetworkSettings.IPAddress}}', name], {
        encoding: 'utf8'
      }).trim(),
      port: 6379
    })
  }
}

/** Makes a server drop every key that has an end, as a full server does that may evict. */
export async function evictWhatEnds ({ admin }: OwnRedis): Promise<void> {
  const countVolatile = async () => Number(/expires=(\d+)/.exec(await admin.info('keyspace'))?.[1] ?? 0)
  await admin.config('SET', 'maxmemory-policy', 'volatile-ttl')
  await admin.config('SET', 'maxmemory', '1')
  // Each write makes room first.
  while (await countVolatile() > 0) await admin.set('more', 'x').catch(() => {})
  await admin.config('SET', 'maxmemory', '0')
  await admin.del('more')
}
