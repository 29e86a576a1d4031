import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { ServicesError, findFreePort, findProgramFolder } from '../../scripts/services/programs.ts'
import { createRedisBlocklist } from '../../src/blocklist/public/redis-blocklist.ts'
import { createRedisConnection } from '../../src/redis/connection.ts'
import { nowSeconds } from '../support/tokens.ts'
import { pinned } from './processes.ts'

/** A redis-server of the benchmark's own, so that only its commands are counted. */
export interface BenchRedis {
  url: string
  admin: Redis
  /** Returns its processor time in microseconds, user and system time together. */
  usedMicros (): Promise<number>
  usedBytes (): Promise<number>
  /** Returns the number of `MGET` commands so far. */
  countLookups (): Promise<number>
  /** Writes this number of entries of tokens, under a prefix. They last for an hour. */
  fill (prefix: string, entries: number): Promise<void>
  /** Revokes the token and the session of this number of logins, as a logout does. */
  logOut (prefix: string, logouts: number): Promise<void>
  stop (): Promise<void>
}

const entriesPerScript = 10_000
const logoutsPerWrite = 500

/** The ids look like those in keys: UUIDs without hyphens. They differ in their first part. */
const fillScript = `
local ends = redis.call('TIME')[1] * 1000 + 3600000
for i = ARGV[1], ARGV[2] do
  redis.call('SET', KEYS[1] .. string.format('%08x000040008000000000000000', i), 1, 'PXAT', ends)
end
`

export async function startRedis (): Promise<BenchRedis> {
  const folder = findProgramFolder('redis-server')
  if (folder === undefined) {
    throw new ServicesError(
      'The benchmark needs a redis-server of its own: install it (Debian: apt-get install redis-server).'
    )
  }
  const port = await findFreePort()
  const data = mkdtempSync(join(tmpdir(), 'signout-bench-'))
  const [program, args] = pinned('load', join(folder, 'redis-server'), [
    '--port', String(port), '--bind', '127.0.0.1', '--dir', data, '--save', '', '--appendonly', 'no'
  ])
  const child = spawn(program, args, { stdio: 'ignore' })
  const url = `redis://127.0.0.1:${port}`
  const admin = new Redis(url, { retryStrategy: attempt => attempt < 200 ? 25 : null, maxRetriesPerRequest: null })
  admin.on('error', () => { /* Redis is still starting. */ })
  await admin.ping()
  const infoOf = async (section: string, field: string) =>
    Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(await admin.info(section))?.[1])
  return {
    url,
    admin,
    usedMicros: async () =>
      Math.round(((await infoOf('cpu', 'used_cpu_sys')) + (await infoOf('cpu', 'used_cpu_user'))) * 1e6),
    usedBytes: () => infoOf('memory', 'used_memory'),
    countLookups: async () => Number(/^cmdstat_mget:calls=(\d+)/m.exec(await admin.info('commandstats'))?.[1] ?? 0),
    async fill (prefix, entries) {
      for (let first = 0; first < entries; first += entriesPerScript) {
        await admin.eval(fillScript, 1, `${prefix}jti:`, first, Math.min(entries, first + entriesPerScript) - 1)
      }
    },
    async logOut (prefix, logouts) {
      const redis = createRedisConnection(url, { deadlineMs: 60_000 })
      await redis.connect()
      const blocklist = createRedisBlocklist({ redis, prefix, leewaySeconds: 5, deadlineMs: 60_000 })
      const expiresAt = nowSeconds() + 900
      for (let done = 0; done < logouts; done += logoutsPerWrite) {
        await blocklist.revoke(
          Array.from({ length: Math.min(logoutsPerWrite, logouts - done) }, () => [
            { scope: 'token' as const, id: randomUUID(), expiresAt },
            { scope: 'session' as const, id: randomUUID(), expiresAt }
          ]).flat()
        )
      }
      await blocklist.close()
    },
    async stop () {
      admin.disconnect()
      await end(child)
      rmSync(data, { recursive: true, force: true })
    }
  }
}

async function end (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}
