import { Redis } from 'ioredis'
import pg from 'pg'
import type { Test } from 'tap'
import {
  createPostgresRecord, createRedisBlocklist, createRedisConnection, postgresRecordSql
} from '../../plugins/auth/auth.ts'
import type { OpenedRecord } from '../../src/blocklist/public/postgres-record.ts'
import type { RedisBlocklist } from '../../src/revocation/redis-blocklist.ts'
import { createDatabase, databaseOfTest } from '../support/services.ts'
import { nowSeconds } from '../support/tokens.ts'
import { until } from '../support/wait.ts'

export const prefix = 'recorded:'
export const lifetimeSeconds = 900

/** A database with the tables of a record, and a pool as an app has one. */
export interface RecordDatabase {
  url: string
  pool: pg.Pool
}

export async function openDatabase (t: Test, url?: string): Promise<RecordDatabase> {
  const address = url ?? await databaseOfTest(t, createDatabase)
  const pool = new pg.Pool({ connectionString: address, connectionTimeoutMillis: 10_000 })
  pool.on('error', () => { /* Postgres is down. */ })
  t.teardown(() => pool.end())
  await pool.query(postgresRecordSql())
  return { url: address, pool }
}

/** Opens the record alone. */
export function openRecord ({ pool }: RecordDatabase): OpenedRecord {
  return createPostgresRecord(pool).open(0)
}

/** Opens the blocklist of one replica. */
export async function openBlocklist (
  t: Test, redisUrl: string, { pool }: RecordDatabase, settings: object = {}
): Promise<RedisBlocklist> {
  const redis = createRedisConnection(redisUrl)
  await redis.connect()
  const blocklist = createRedisBlocklist({
    redis,
    prefix,
    record: createPostgresRecord(pool),
    leewaySeconds: 0,
    deadlineMs: 5_000,
    maxTokenLifetimeSeconds: lifetimeSeconds,
    ...settings
  })
  t.teardown(() => blocklist.close())
  return blocklist
}

export async function whenReady (...blocklists: RedisBlocklist[]): Promise<void> {
  for (const blocklist of blocklists) {
    await until('it is ready', () => blocklist.ready().then(() => true, () => false), 30_000)
  }
}

export const claims = (jti: string, sub = 'ada', iat = nowSeconds()) => ({ jti, sub, sid: `s-${jti}`, iat })
export const token = (id: string) => ({ scope: 'token', id, expiresAt: nowSeconds() + lifetimeSeconds } as const)
export const session = (id: string) => ({ scope: 'session', id, expiresAt: nowSeconds() + lifetimeSeconds } as const)

/** Returns what a blocklist says about a token, and undefined while it cannot tell. */
export async function ask (
  blocklist: RedisBlocklist, token: ReturnType<typeof claims>
): Promise<boolean | undefined> {
  return await Promise.resolve(blocklist.isRevoked(token)).catch(() => undefined)
}

/** Waits until every replica answers, and returns all answers about a token that were given meanwhile. */
export async function askUntilAnswered (
  blocklists: readonly RedisBlocklist[], token: ReturnType<typeof claims>
): Promise<Set<boolean | undefined>> {
  const answers = new Set<boolean | undefined>()
  await until('every replica answers', async () => {
    const now = await Promise.all(blocklists.map(blocklist => ask(blocklist, token)))
    for (const answer of now) answers.add(answer)
    return now.every(answer => answer !== undefined)
  }, 30_000)
  return answers
}

/** Counts the entries in Redis. */
export async function countEntries (redis: Redis): Promise<number> {
  const others = ['marker', 'progress', 'note', 'doubt'].map(name => prefix + name)
  return (await redis.keys(`${prefix}*`)).filter(key => !others.includes(key)).length
}
