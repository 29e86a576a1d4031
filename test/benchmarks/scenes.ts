import { password } from '../support/people.ts'
import { createDatabase } from './database.ts'
import type { LoadResult } from './load.ts'
import { inTurn, warmUp, type Measurement, type Subject } from './measure.ts'
import { startHelper, type Helper } from './processes.ts'
import { startRedis, type BenchRedis } from './redis.ts'
import { createIssuer, tokenCount, type Algorithm } from './tokens.ts'
import type { VariantName, VariantOptions } from './variants.ts'

export interface Effort {
  /** How often everything is measured. */
  rounds: number
  /** For how long each time, in seconds. */
  seconds: number
  say: (line: string) => void
}

export interface Cell {
  algorithm: Algorithm
  connections: number
  variant: string
  measurements: Measurement[]
}

/** What is opened is closed, last first, whatever happens. */
export async function withClosing<T> (work: (close: (later: () => Promise<void>) => void) => Promise<T>): Promise<T> {
  const closing: Array<() => Promise<void>> = []
  try {
    return await work(later => { closing.unshift(later) })
  } finally {
    for (const close of closing) await close()
  }
}

async function open<T extends { stop (): Promise<void> }> (opening: Promise<T>, close: (later: () => Promise<void>) => void): Promise<T> {
  const opened = await opening
  close(() => opened.stop())
  return opened
}

const startVariant = (options: VariantOptions) => startHelper('server.js', 'server', options)

export interface ComparedVariant {
  name: string
  variant: VariantName
  build?: string
}

/** Every variant with each algorithm and each number of connections. */
export async function compareVariants (compared: ComparedVariant[], algorithms: Algorithm[], connections: number[], { rounds, seconds, say }: Effort): Promise<Cell[]> {
  const cells: Cell[] = []
  for (const algorithm of algorithms) {
    await withClosing(async close => {
      const redis = await open(startRedis(), close)
      const load = await open(startHelper('load.js', 'load'), close)
      const issuer = createIssuer(algorithm)
      const subjects: Subject[] = []
      for (const { name, variant, build } of compared) {
        const server = await open(startVariant({ variant, keys: issuer.keys, redisUrl: redis.url, prefix: `bench:${name}:`, ...build !== undefined && { build } }), close)
        subjects.push({ name, server, redis, tokens: [] })
      }
      // After the cut-off that each blocklist has set for itself.
      const tokens = issuer.issue(tokenCount)
      for (const subject of subjects) subject.tokens = tokens
      say(`${algorithm}, warming up`)
      await warmUp(subjects, { load, seconds })
      for (const count of connections) {
        say(`${algorithm}, ${count} connections`)
        for (const [variant, measurements] of await inTurn(subjects, rounds, { load, connections: count, seconds })) cells.push({ algorithm, connections: count, variant, measurements })
      }
    })
  }
  return cells
}

/** The same server on blocklists of several sizes, each in a Redis of its own. */
export async function compareSizes (sizes: number[], { rounds, seconds, say }: Effort): Promise<Record<string, Measurement[]>> {
  return await withClosing(async close => {
    const load = await open(startHelper('load.js', 'load'), close)
    const issuer = createIssuer('EdDSA')
    const subjects: Subject[] = []
    for (const size of sizes) {
      say(`a blocklist of ${size} entries`)
      const redis = await open(startRedis(), close)
      await redis.fill('bench:', size)
      subjects.push({ name: String(size), redis, tokens: [], server: await open(startVariant({ variant: 'signout', keys: issuer.keys, redisUrl: redis.url, prefix: 'bench:' }), close) })
    }
    const tokens = issuer.issue(tokenCount)
    for (const subject of subjects) subject.tokens = tokens
    await warmUp(subjects, { load, seconds })
    return Object.fromEntries(await inTurn(subjects, rounds, { load, connections: 50, seconds }))
  })
}

/** What one logout takes in Redis: its token and its session. */
export async function measureMemory (logouts: number, { say }: Effort): Promise<number> {
  return await withClosing(async close => {
    say(`${logouts} logouts in Redis`)
    const redis = await open(startRedis(), close)
    const before = await redis.usedBytes()
    await redis.logOut('signout:', logouts)
    return (await redis.usedBytes() - before) / logouts
  })
}

export interface StormRound {
  idle: LoadResult
  storm: LoadResult
  idleDelayP99Ms: number
  delayP99Ms: number
  loginsPerSecond: number
}

export interface ServiceResult {
  /** GET /token of the service, 50 connections: its own blocklist, with the record behind it. */
  token: Measurement[]
  rounds: StormRound[]
}

const stormConnections = 32
const requestsPerSecond = 200

const serviceEnv = (databaseUrl: string, redisUrl: string) => ({
  ISSUER: 'https://auth.example.com',
  KEY_ENCRYPTION_SECRET: 'a secret for benchmarks, of 32 bytes',
  DATABASE_URL: databaseUrl,
  REDIS_URL: redisUrl,
  RATE_LIMITS: 'off',
  BLOCKLIST_DEADLINE_MS: '5000',
  DATABASE_DEADLINE_MS: '10000'
})

/** The service itself: what its check costs, and how GET /me is answered while passwords are hashed all the time. */
export async function measureService ({ rounds, seconds, say }: Effort): Promise<ServiceResult> {
  return await withClosing(async close => {
    const database = await createDatabase()
    close(() => database.drop())
    const redis = await open(startRedis(), close)
    const [load, storm] = [await open(startHelper('load.js', 'any'), close), await open(startHelper('load.js', 'any'), close)]
    const service = await open(startHelper('service.js', 'any', serviceEnv(database.url, redis.url)), close)
    say('the service, GET /token')
    const tokens = await service.ask<string[]>('issue', tokenCount)
    const subject: Subject = { name: 'GET /token', server: service, redis, tokens }
    await warmUp([subject], { load, seconds })
    const token = (await inTurn([subject], rounds, { load, connections: 50, seconds })).get(subject.name) ?? []
    return { token, rounds: await measureStorm({ service, load, storm }, { rounds, seconds, say }) }
  })
}

async function measureStorm ({ service, load, storm }: { service: Helper, load: Helper, storm: Helper }, { rounds, seconds, say }: Effort): Promise<StormRound[]> {
  const [reader, stormer] = [await service.ask<{ token: string }>('signUp'), await service.ask<{ username: string }>('signUp')]
  const address = await service.ask<string>('address')
  const body = JSON.stringify({ username: stormer.username, password })
  const read = async () => {
    await service.ask('startDelay')
    const result = await load.ask<LoadResult>('run', { url: `${address}/me`, connections: 10, seconds: Math.max(3, 3 * seconds), rate: requestsPerSecond, tokens: Array.from({ length: 10 }, () => reader.token) })
    if (result.failures > 0) throw new Error(`GET /me: ${result.failures} of ${result.responses} requests failed, so that its figures mean nothing.`)
    return { result, delayP99Ms: await service.ask<number>('delayP99Ms') }
  }
  await read()
  const measured: StormRound[] = []
  for (let round = 0; round < rounds; round++) {
    say(`a login storm, round ${round + 1}`)
    const idle = await read()
    const storming = storm.ask<LoadResult>('run', { url: `${address}/login`, connections: stormConnections, seconds: Math.max(4, 3 * seconds + 1), tokens: [], post: { contentType: 'application/json', body } })
    await new Promise(resolve => { setTimeout(resolve, 500) })
    const busy = await read()
    const { perSecond } = await storming
    measured.push({ idle: idle.result, storm: busy.result, idleDelayP99Ms: idle.delayP99Ms, delayP99Ms: busy.delayP99Ms, loginsPerSecond: perSecond })
  }
  return measured
}

export interface ReplayResult {
  entries: number
  seconds: number[]
}

/** What is on record, written into an empty Redis. */
export async function measureReplay (entries: number, times: number, { say }: Effort): Promise<ReplayResult> {
  return await withClosing(async close => {
    const database = await createDatabase()
    close(() => database.drop())
    const redis: BenchRedis = await open(startRedis(), close)
    say(`${entries} revocations on record`)
    const replay = await open(startHelper('replay.js', 'any', { databaseUrl: database.url, redisUrl: redis.url }), close)
    await database.query(`insert into revocations (scope, id, expires_at, reason, created_at)
      select case when n % 2 = 0 then 'token' else 'session' end, gen_random_uuid(), now() + interval '1 hour', 'logout', now() from generate_series(1, ${entries}) n`)
    const seconds: number[] = []
    for (let time = 0; time < times; time++) {
      say(`replayed into an empty Redis, round ${time + 1}`)
      await redis.admin.flushall()
      const result = await replay.ask<{ entries: number, seconds: number }>('replayAll')
      if (result.entries !== entries) throw new Error(`${result.entries} entries were replayed instead of ${entries}.`)
      seconds.push(result.seconds)
    }
    return { entries, seconds }
  })
}
