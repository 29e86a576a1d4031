import type { FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import type { Revocation } from '../../src/entries/revocation.ts'
import type { Env } from './app.ts'

/** From now on the blocklist cannot be written, until the function that this answers is called. */
export function breakBlocklist (app: FastifyInstance): () => void {
  const { revoke } = app.blocklist
  app.blocklist.revoke = async () => { throw new Error('The blocklist is out of order.') }
  return () => { app.blocklist.revoke = revoke }
}

/** What the blocklist is given while the work is done, one array for each trip. */
export async function recordTrips (app: FastifyInstance, work: () => Promise<unknown>): Promise<Revocation[][]> {
  const { revoke } = app.blocklist
  const trips: Revocation[][] = []
  app.blocklist.revoke = async revocations => {
    trips.push([...revocations])
    await revoke(revocations)
  }
  try {
    await work()
  } finally {
    app.blocklist.revoke = revoke
  }
  return trips
}

/** The entries in Redis, without their prefix, and when each ends, in milliseconds since the epoch. */
export async function entriesInRedis (env: Env): Promise<Map<string, number>> {
  const redis = new Redis(String(env['REDIS_URL']))
  const prefix = String(env['BLOCKLIST_PREFIX'])
  const entries = new Map<string, number>()
  for (const key of await redis.keys(`${prefix}*`)) {
    entries.set(key.slice(prefix.length), Number(await redis.call('PEXPIRETIME', key)))
  }
  redis.disconnect()
  return entries
}
