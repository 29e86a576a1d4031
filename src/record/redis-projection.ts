import type { Redis } from 'ioredis'
import { linkTo, runScript, type RedisLink } from '../redis/link.ts'
import type { Progress, Projection } from './projection.ts'
import { forgetWhatMayBeLost, projectionKeys, type Loss } from './losses.ts'
import { neverShorten } from '../entries/write-entries.ts'
import { entryEndsAt, entryKey } from '../entries/revocation.ts'

export interface RedisProjectionOptions {
  /** A connection of its own, made by `createRedisConnection`: nobody waits behind a rebuild. The caller closes it. */
  redis: Redis | RedisLink
  prefix: string
  leewaySeconds: number
  /** Told when the marker was forgotten, since something may have been lost. */
  onLoss?: (loss: Loss) => void
}

/** For how long the progress of a rebuild is told that nobody goes on with. */
const progressTtlMs = 5_000

/**
 * KEYS[2] is named for a cluster: while the slot of both is being moved to another server, one of them is not where the other
 * is, and the command is refused. So a move is found out though nobody looks anything up.
 */
const begin = `
${forgetWhatMayBeLost}
local found = redis.call('GET', KEYS[1])
if found and string.sub(found, 1, string.len(ARGV[1]) + 1) == ARGV[1] .. ':' then return {found, loss} end
redis.call('SET', KEYS[1], ARGV[2])
return {ARGV[2], loss}
`

/** The marker is moved last: until then what it says is true of whatever is there. A rebuild during which keys were evicted starts over. */
const advance = `
${forgetWhatMayBeLost}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local first, firstEnd = 3, 3
${neverShorten}
if ARGV[3] == '' then redis.call('DEL', KEYS[2]) else redis.call('SET', KEYS[2], ARGV[3], 'PX', ${progressTtlMs}) end
redis.call('SET', KEYS[1], ARGV[2])
return 1
`

export function createRedisProjection ({ redis, prefix, leewaySeconds, onLoss }: RedisProjectionOptions): Projection {
  const { marker, progress: progressKey, note } = projectionKeys(prefix)
  const link = 'run' in redis ? redis : linkTo(redis)
  return {
    async reach () {
      await link.run(redis => redis.get(marker))
    },
    async begin (recordId, draft) {
      const [found, loss] = await link.run(redis => runScript<[string, Loss | '']>(redis, 'signoutBegin', begin, [marker, progressKey, note], [recordId, draft]))
      if (loss !== '') onLoss?.(loss)
      return found
    },
    async advance (from, to, revocations, progress) {
      const entries = revocations.map(({ scope, id }) => prefix + entryKey(scope, id))
      const ends = revocations.map(({ expiresAt }) => entryEndsAt(expiresAt, leewaySeconds))
      const told = progress === undefined ? '' : JSON.stringify(progress)
      return await link.run(redis => runScript<number>(redis, 'signoutAdvance', advance, [marker, progressKey, note, ...entries], [from, to, told, ...ends])) === 1
    },
    async forgetMarker () {
      await link.run(redis => redis.del(marker))
    }
  }
}

/** Undefined while nothing is being rebuilt. */
export function parseProgress (text: string | null): Progress | undefined {
  return text === null ? undefined : JSON.parse(text) as Progress
}
