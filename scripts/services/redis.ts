import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { composeUp, hasDockerEngine } from './docker.ts'
import { install } from './install.ts'
import { ServicesError, findFreePort, findProgramFolder, run } from './programs.ts'
import { servicesDir, type ServicesState } from './state.ts'

type RedisState = NonNullable<ServicesState['redis']>

const redisDir = join(servicesDir, 'redis')

/** Finds, starts or installs a Redis, in that order. */
export async function ensureRedis (before: ServicesState['redis'], say: (line: string) => void): Promise<RedisState> {
  const named = process.env['REDIS_URL']
  if (named !== undefined && named !== '') {
    if (await answers(named)) return { url: named, source: 'environment' }
    throw new ServicesError('REDIS_URL names a Redis that does not answer: start it, or unset the variable.')
  }
  if (before?.source === 'docker' && await answers(before.url)) return before
  if (before?.source === 'started' && await ask(before.url, redis => isOurs(redis, redisDir)) === true) return before
  if (!isInstalled()) {
    if (hasDockerEngine()) return { url: await composeUp('redis'), source: 'docker' }
    install('redis', say)
  }
  mkdirSync(redisDir, { recursive: true })
  const { url } = await startRedis(redisDir)
  return { url, source: 'started' }
}

export function isInstalled (): boolean {
  return findProgramFolder('redis-server') !== undefined
}

/** Starts a Redis on a free port. It keeps only its log in the folder, and outlives this process. */
export async function startRedis (dir: string): Promise<{ url: string, stop: () => Promise<void> }> {
  const port = await findFreePort()
  run(join(findProgramFolder('redis-server') ?? '', 'redis-server'), [
    '--port', String(port), '--bind', '127.0.0.1', '--daemonize', 'yes', '--dir', dir,
    '--logfile', join(dir, 'redis.log'), '--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction'
  ])
  const url = `redis://127.0.0.1:${port}`
  for (let attempt = 0; attempt < 50; attempt++) {
    if (await answers(url)) return { url, stop: () => stopRedisAt(url, dir) }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new ServicesError(`redis-server was started, but does not answer: read its log, ${join(dir, 'redis.log')}.`)
}

/** Stops the Redis that we started, if it is still the one at that address. */
export async function stopRedis (state: RedisState): Promise<void> {
  if (state.source === 'started') await stopRedisAt(state.url, redisDir)
}

async function stopRedisAt (url: string, dir: string): Promise<void> {
  await ask(url, async redis => {
    if (await isOurs(redis, dir)) {
      await redis.shutdown('NOSAVE').catch(() => {
      /* It closes the connection instead of answering. */
      })
    }
  })
}

/**
 * Returns true if the server is ours. After a restart of the machine another server may have the port that ours had.
 */
async function isOurs (redis: Redis, itsDir: string): Promise<boolean> {
  const [, dir] = await redis.config('GET', 'dir') as string[]
  return dir === itsDir
}

async function answers (url: string): Promise<boolean> {
  return await ask(url, async redis => await redis.ping() === 'PONG') ?? false
}

/** Asks one question within a bound. Resolves to undefined without an answer. */
async function ask<T> (url: string, question: (redis: Redis) => Promise<T>): Promise<T | undefined> {
  const redis = new Redis(url, {
    lazyConnect: true, connectTimeout: 2_000, commandTimeout: 2_000, retryStrategy: null, maxRetriesPerRequest: 0
  })
  redis.on('error', () => { /* `connect` rejects with it. */ })
  try {
    await redis.connect()
    return await question(redis)
  } catch {
    return undefined
  } finally {
    redis.disconnect()
  }
}
