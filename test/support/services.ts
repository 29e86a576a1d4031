import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import pg from 'pg'
import { readState } from '../../scripts/services/state.ts'
import type { Owner } from './teardown.ts'

/** Returns the address of the Redis that `npm run services` provides. */
export function redisUrl (): string {
  return urlOf('redis', process.env['REDIS_URL'])
}

/** Returns the address of the Postgres that `npm run services` provides. */
export function postgresUrl (): string {
  return urlOf('postgres', process.env['DATABASE_URL'])
}

function urlOf (service: 'redis' | 'postgres', named: string | undefined): string {
  const url = named || readState()[service]?.url
  if (url === undefined) {
    throw new Error('The tests need a real Redis and a real Postgres: run `npm run services` first.')
  }
  return url
}

export function randomName (): string {
  return randomBytes(6).toString('hex')
}

/** Returns a prefix that no other test uses. Its keys are deleted when the test ends. */
export function scratchPrefix (t: Owner): string {
  const prefix = `test:${randomName()}:`
  t.teardown(async () => {
    const redis = new Redis(redisUrl())
    for await (const keys of redis.scanStream({ match: `${prefix}*`, count: 1_000 })) {
      if (keys.length > 0) await redis.unlink(keys)
    }
    redis.disconnect()
  })
  return prefix
}

/**
 * Creates an empty database that no other test uses, and returns its address. It is dropped when the test ends.
 *
 * @param options what `create database` gets after the name
 */
export async function scratchDatabase (t: Owner, options = ''): Promise<string> {
  return await databaseOfTest(t, async name => { await createDatabase(name, options) })
}

/** Creates a database by a name that no other test uses. It is dropped when the test ends. */
export async function databaseOfTest (t: Owner, create: (name: string) => Promise<void>): Promise<string> {
  const name = `signout_test_${randomName()}`
  await create(name)
  t.teardown(() => administer(`drop database if exists ${name} with (force)`))
  return databaseUrl(name)
}

let strategy: Promise<string> | undefined

/**
 * Creates a database.
 *
 * @param options what `create database` gets after the name
 */
export async function createDatabase (name: string, options = ''): Promise<void> {
  // Since Postgres 15, the default is to log each page, which takes three times as long.
  strategy ??= administer('show server_version_num').then(({ rows: [row] }) =>
    Number(row.server_version_num) >= 150_000 ? 'strategy file_copy' : '')
  await administer(`create database ${name} ${options} ${await strategy}`)
}

/** Returns the address of a database by its name. */
export function databaseUrl (name: string): string {
  const url = new URL(postgresUrl())
  url.pathname = `/${name}`
  return url.href
}

let server: pg.Pool | undefined

/** Runs a statement on the server. All share one connection: to open one costs Postgres 30 ms of processor time. */
export async function administer (statement: string): Promise<pg.QueryResult> {
  server ??= new pg.Pool({ connectionString: postgresUrl(), max: 1, idleTimeoutMillis: 0, allowExitOnIdle: true })
  return await server.query(statement)
}
