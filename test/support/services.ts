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
  const name = `signout_test_${randomName()}`
  await administer(`create database ${name} ${options}`)
  t.teardown(() => administer(`drop database if exists ${name} with (force)`))
  const url = new URL(postgresUrl())
  url.pathname = `/${name}`
  return url.href
}

async function administer (statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: postgresUrl() })
  await client.connect()
  await client.query(statement)
  await client.end()
}
