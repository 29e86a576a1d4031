import type { Redis } from 'ioredis'
import { shardPrefix } from '../redis/connections.ts'
import { OwnerUnknownError, type ExaminedServer } from '../redis/health/examination.ts'
import { ownerOf, projectionKeys } from './marker.ts'

/**
 * Makes the check whether a Redis holds the blocklist of another record, by the markers and draft markers under a
 * prefix. It rejects with an {@link OwnerUnknownError} when the names of our own record cannot be read.
 *
 * @param listNames returns every name that our record has had
 */
export function createOwnershipCheck (
  prefix: string,
  listNames: () => Promise<string[]>
): (server: ExaminedServer) => Promise<boolean> {
  return async ({ redis, tags = [''] }) => {
    const owners = await readOwners(redis, tags.map(tag => projectionKeys(shardPrefix(prefix, tag)).marker))
    if (owners.length === 0) return false
    const ours = await listNames().catch(cause => {
      throw new OwnerUnknownError('The record cannot be asked for its names.', {
        cause: cause ?? new Error('no reason given')
      })
    })
    return owners.some(owner => !ours.includes(owner))
  }
}

async function readOwners (redis: Redis, markers: readonly string[]): Promise<string[]> {
  const texts = await Promise.all(markers.map(marker => redis.get(marker).catch(whereElse)))
  return texts.flatMap(text => ownerOf(text) ?? [])
}

/** A shard that is being moved has a marker elsewhere, or none. Whichever server has it is asked next time. */
function whereElse (error: Error): null {
  if (/^(MOVED|ASK|TRYAGAIN)\b/.test(error.message)) return null
  throw error
}
