import { createDatabase } from './database.ts'
import { inTurn, warmUp, type Measurement, type Subject } from './measure.ts'
import { startHelper, type Helper } from './processes.ts'
import { startRedis, type BenchRedis } from './redis.ts'
import { createIssuer, tokenCount, type Algorithm } from './tokens.ts'
import type { VariantName, VariantOptions } from './variants.ts'

export interface Effort {
  /** The number of times that everything is measured. */
  rounds: number
  /** The length of each measurement, in seconds. */
  seconds: number
  say: (line: string) => void
}

/** The factor for the rounds where a difference of 5 % must show. Single measurements vary by 10 %. */
export const timesRoundsForFivePercent = 3

export interface Cell {
  algorithm: Algorithm
  connections: number
  variant: string
  measurements: Measurement[]
}

/** Runs work, and then closes everything that it has opened, last first, even if it has failed. */
export async function withClosing<T> (work: (close: (later: () => Promise<void>) => void) => Promise<T>): Promise<T> {
  const closing: Array<() => Promise<void>> = []
  try {
    return await work(later => { closing.unshift(later) })
  } finally {
    for (const close of closing) await close()
  }
}

export async function open<T extends { stop(): Promise<void> }> (
  opening: Promise<T>, close: (later: () => Promise<void>) => void
): Promise<T> {
  const opened = await opening
  close(() => opened.stop())
  return opened
}

async function startVariants (
  options: VariantOptions[], close: (later: () => Promise<void>) => void
): Promise<{ server: Helper, urls: string[] }> {
  const server = await open(startHelper('server.js', 'server', options), close)
  return { server, urls: await server.ask<string[]>('urls') }
}

export interface ComparedVariant {
  name: string
  variant: VariantName
  build?: string
}

/** Measures every variant with each algorithm and each number of connections. */
export async function compareVariants (
  compared: ComparedVariant[], algorithms: Algorithm[], connections: number[], { rounds, seconds, say }: Effort
): Promise<Cell[]> {
  const cells: Cell[] = []
  for (const algorithm of algorithms) {
    await withClosing(async close => {
      const redis = await open(startRedis(), close)
      const load = await open(startHelper('load.js', 'load'), close)
      const issuer = createIssuer(algorithm)
      const subjects: Subject[] = []
      for (const { name, variant, build } of compared) {
        const { server, urls: [url = ''] } = await startVariants([
          {
            variant,
            keys: issuer.keys,
            redisUrl: redis.url,
            prefix: `bench:${name}:`,
            ...build !== undefined && { build }
          }
        ], close)
        subjects.push({ name, server, url, redis, tokens: [] })
      }
      // Issued after each blocklist has set its cut-off, so that the tokens are accepted.
      const tokens = issuer.issue(tokenCount)
      for (const subject of subjects) subject.tokens = tokens
      say(`${algorithm}, warming up`)
      await warmUp(subjects, { load, seconds })
      for (const count of connections) {
        say(`${algorithm}, ${count} connections`)
        const enough = count === 1 ? timesRoundsForFivePercent * rounds : rounds
        for (const [variant, measurements] of await inTurn(subjects, enough, { load, connections: count, seconds })) {
          cells.push({ algorithm, connections: count, variant, measurements })
        }
      }
    })
  }
  return cells
}

/**
 * Measures the server on blocklists of several sizes, each in a Redis of its own. All servers run in one process. Two
 * processes may differ by more than the sizes do: the compiled code depends on what the compiler saw first.
 */
export async function compareSizes (
  sizes: number[], { rounds, seconds, say }: Effort
): Promise<Record<string, Measurement[]>> {
  return await withClosing(async close => {
    const load = await open(startHelper('load.js', 'load'), close)
    const issuer = createIssuer('EdDSA')
    const filled: BenchRedis[] = []
    for (const size of sizes) {
      say(`a blocklist of ${size} entries`)
      const redis = await open(startRedis(), close)
      await redis.fill('bench:', size)
      filled.push(redis)
    }
    const { server, urls } = await startVariants(
      filled.map(({ url }) => ({ variant: 'signout', keys: issuer.keys, redisUrl: url, prefix: 'bench:' })), close
    )
    const tokens = issuer.issue(tokenCount)
    const subjects = filled.map((redis, index): Subject => ({
      name: String(sizes[index]), server, url: urls[index] ?? '', redis, tokens
    }))
    await warmUp(subjects, { load, seconds })
    return Object.fromEntries(
      await inTurn(subjects, timesRoundsForFivePercent * rounds, { load, connections: 50, seconds })
    )
  })
}

export interface MemoryMeasurement {
  logouts: number
  /** The memory of Redis per logout. */
  bytes: number
}

/**
 * Factors of `doubling`. The first one is just after the tables of Redis have doubled, when they are emptiest. The last
 * one is just before they double again.
 */
const fillings = [1.01, 1.15, 1.3, 1.45, 1.6, 1.8, 1.99]

/**
 * Measures the memory that one logout takes in Redis: the entries of its token and its session. The memory depends on
 * how full the tables are.
 *
 * @param doubling the number of logouts at which the tables double: half a power of two
 */
export async function measureMemory (doubling: number, { say }: Effort): Promise<MemoryMeasurement[]> {
  return await withClosing(async close => {
    say('logouts in Redis')
    const redis = await open(startRedis(), close)
    const before = await redis.usedBytes()
    const measured: MemoryMeasurement[] = []
    for (const filling of fillings) {
      const logouts = Math.round(filling * doubling)
      await redis.logOut('signout:', logouts - (measured.at(-1)?.logouts ?? 0))
      measured.push({ logouts, bytes: (await redis.usedBytes() - before) / logouts })
    }
    return measured
  })
}

export interface RebuildResult {
  entries: number
  seconds: number[]
  /** The disk space of a row in Postgres, in bytes. */
  bytesPerRow: number
}

/** Measures a rebuild: the revocations of the record are written into an empty Redis. */
export async function measureRebuild (entries: number, { rounds, say }: Effort): Promise<RebuildResult> {
  return await withClosing(async close => {
    const database = await createDatabase()
    close(() => database.drop())
    const redis: BenchRedis = await open(startRedis(), close)
    say(`adding ${entries} revocations to the record`)
    const rebuild = await open(
      startHelper('rebuild.js', 'any', { databaseUrl: database.url, redisUrl: redis.url }), close
    )
    await database.query(`insert into revocations (scope, id, expires_at, reason, created_at)
      select case when n % 2 = 0 then 'token' else 'session' end, gen_random_uuid(), now() + interval '1 hour', 'logout', now() from generate_series(1, ${entries}) n`)
    const seconds: number[] = []
    for (let time = 0; time < rounds; time++) {
      say(`a rebuild of an empty Redis, round ${time + 1}`)
      await redis.admin.flushall()
      const result = await rebuild.ask<{ entries: number, seconds: number }>('rebuildAll')
      if (result.entries !== entries) throw new Error(`${result.entries} entries were rebuilt instead of ${entries}.`)
      seconds.push(result.seconds)
    }
    return { entries, seconds, bytesPerRow: await database.bytesPerRow('revocations') }
  })
}
