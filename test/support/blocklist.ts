import type { FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import type { Revocation } from '../../src/entries/revocation.ts'
import type { Env } from './app.ts'
import { query } from './database.ts'

/** Makes every write to the blocklist fail, until the returned function is called. */
export function breakBlocklist (app: FastifyInstance): () => void {
  const { revoke } = app.blocklist
  app.blocklist.revoke = async () => { throw new Error('The blocklist is out of order.') }
  return () => { app.blocklist.revoke = revoke }
}

/**
 * Takes the lease of the projector until the returned function is called. Only requests write to the blocklist then.
 * Revocations that are recorded meanwhile stay young: of older ones, a replica notices soon that they are not in the
 * blocklist.
 */
export async function holdProjector (app: FastifyInstance): Promise<() => Promise<void>> {
  await query(
    app,
    "update projector_lease set holder = gen_random_uuid(), held_until = clock_timestamp() + interval '1 minute'"
  )
  await query(app, `create function keep_young() returns trigger language plpgsql as
    'begin new.created_at := clock_timestamp() + interval ''1 hour''; return new; end'`)
  await query(app, `create trigger keep_young before insert on revocations
    for each row execute function keep_young()`)
  return async () => {
    await query(app, 'drop function keep_young cascade')
    await query(app, "update projector_lease set held_until = 'epoch'")
  }
}

/** Runs work, and returns the revocations that were written meanwhile: one array for each call of the blocklist. */
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

/** Returns the entries in Redis, without their prefix, each with its end in milliseconds since the epoch. */
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
