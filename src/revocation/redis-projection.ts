import type { Redis } from 'ioredis'
import type { Progress, Projection } from './projection.ts'
import { toPlainError } from './redis-connection.ts'
import { neverShorten } from './redis-scripts.ts'
import { entryEndsAt, entryKey } from './revocation.ts'

export interface RedisProjectionOptions {
  /** A connection of its own, made by `createRedisConnection`: nobody waits behind a rebuild. The caller closes it. */
  redis: Redis
  prefix: string
  leewaySeconds: number
}

/** For how long the progress of a rebuild is told that nobody goes on with. */
const progressTtlMs = 5_000

const begin = `
local found = redis.call('GET', KEYS[1])
if found and string.sub(found, 1, string.len(ARGV[1]) + 1) == ARGV[1] .. ':' then return found end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
`

/** The marker is moved last: until then what it says is true of whatever is there. */
const advance = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local first, firstEnd = 2, 3
${neverShorten}
if ARGV[3] == '' then redis.call('DEL', KEYS[2]) else redis.call('SET', KEYS[2], ARGV[3], 'PX', ${progressTtlMs}) end
redis.call('SET', KEYS[1], ARGV[2])
return 1
`

interface Scripts {
  signoutBegin (keyCount: number, marker: string, logId: string, claim: string): Promise<string>
  signoutAdvance (keyCount: number, ...keysAndArguments: Array<string | number>): Promise<number>
}

export function createRedisProjection ({ redis, prefix, leewaySeconds }: RedisProjectionOptions): Projection {
  const { marker, progress: progressKey } = projectionKeys(prefix)
  redis.defineCommand('signoutBegin', { lua: begin })
  redis.defineCommand('signoutAdvance', { lua: advance })
  const scripts = redis as unknown as Scripts
  return {
    async reach () {
      await plainly(redis.exists(marker))
    },
    begin: (logId, claim) => plainly(scripts.signoutBegin(1, marker, logId, claim)),
    async advance (from, to, revocations, progress) {
      const entries = revocations.map(({ scope, id }) => prefix + entryKey(scope, id))
      const ends = revocations.map(({ expiresAt }) => entryEndsAt(expiresAt, leewaySeconds))
      const told = progress === undefined ? '' : JSON.stringify(progress)
      return await plainly(scripts.signoutAdvance(entries.length + 2, marker, progressKey, ...entries, from, to, told, ...ends)) === 1
    },
    async forgetMarker () {
      await plainly(redis.del(marker))
    }
  }
}

/** Settles as the command does, and rejects without its arguments. */
async function plainly<T> (command: Promise<T>): Promise<T> {
  try {
    return await command
  } catch (error) {
    throw toPlainError(error as Error)
  }
}

/** Undefined while nothing is being rebuilt. */
export function parseProgress (text: string | null): Progress | undefined {
  return text === null ? undefined : JSON.parse(text) as Progress
}

/** What stands in Redis beside the entries. */
export function projectionKeys (prefix: string): { marker: string, progress: string } {
  return { marker: `${prefix}generation`, progress: `${prefix}rebuild` }
}
