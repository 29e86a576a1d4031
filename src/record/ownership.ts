import type { Redis } from 'ioredis'
import { shardPrefix } from '../redis/connections.ts'
import { OwnerUnknownError, type ExaminedServer } from '../redis/health/examination.ts'
import { ownerOf, projectionKeys } from './marker.ts'

/**
 * Creates a check that resolves to true if a Redis server holds the blocklist of another record. It reads the markers
 * and draft markers under a prefix. Rejects with an {@link OwnerUnknownError} when the ids of our own record cannot be
 * read.
 *
 * @param listNames returns every id that our record has had
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

/**
 * Ignores a redirection. The shard is being moved: its marker is on another server, which is asked at the next audit.
 */
function whereElse (error: Error): null {
  if (/^(MOVED|ASK|TRYAGAIN)\b/.test(error.message)) return null
  throw error
}
