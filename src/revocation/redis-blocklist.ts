import type { Redis } from 'ioredis'
import { BlocklistClosedError, type Blocklist } from './blocklist.ts'
import { createCoalescer } from './coalescer.ts'
import { toPlainError } from './redis-connection.ts'
import { entryEndsAt, entryKey, type Revocation } from './revocation.ts'

export interface RedisBlocklistOptions {
  /** A connection made by `createRedisConnection`. The blocklist closes it. */
  redis: Redis
  /** In front of every key, so that several applications can share one Redis. */
  prefix: string
  /** By how many seconds clocks may differ. */
  leewaySeconds: number
}

/** One `MGET` asks for at most this many keys, so that it never keeps Redis from others for long. */
const maxKeysPerLookup = 1_000
/** One script writes at most this many entries, for the same reason. */
const maxEntriesPerWrite = 1_000

/**
 * Writes the entries KEYS that end at ARGV (milliseconds since the epoch), and never shortens one.
 *
 * An existing entry without an end is left alone: it lasts longer than any. One of another type is an error (GET says
 * WRONGTYPE): MGET would answer nil for it. The time that is left is read with PTTL, which is a millisecond coarse, and
 * since `exp` is in whole seconds that cannot hide a real difference. The value is a small integer, which Redis shares
 * instead of storing. PXAT is known since Redis 6.2.
 */
const writeEntries = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i, key in ipairs(KEYS) do
  local ends = tonumber(ARGV[i])
  local left = redis.call('GET', key) and redis.call('PTTL', key) or -2
  if ends > now and (left == -2 or (left >= 0 and now + left < ends)) then
    redis.call('SET', key, 1, 'PXAT', ARGV[i])
  end
end
`

type WriteEntries = (keyCount: number, ...keysAndEnds: Array<string | number>) => Promise<unknown>

/** A blocklist in Redis, shared by every replica that uses the same Redis and prefix. */
export function createRedisBlocklist (options: RedisBlocklistOptions): Blocklist {
  const { redis, prefix, leewaySeconds } = options
  const anyExists = createCoalescer(keys => plainly(redis.mget(keys)), maxKeysPerLookup)
  // ioredis sends the script's digest, and the script itself only to a server that does not know it yet.
  redis.defineCommand('signoutWriteEntries', { lua: writeEntries })
  const write = (redis as unknown as { signoutWriteEntries: WriteEntries }).signoutWriteEntries.bind(redis)
  let closed = false

  async function writeChunk (revocations: readonly Revocation[]): Promise<void> {
    const keys = revocations.map(({ scope, id }) => prefix + entryKey(scope, id))
    const ends = revocations.map(({ expiresAt }) => entryEndsAt(expiresAt, leewaySeconds))
    await plainly(write(keys.length, ...keys, ...ends))
  }

  return {
    async revoke (revocations) {
      if (closed) throw new BlocklistClosedError()
      for (let start = 0; start < revocations.length; start += maxEntriesPerWrite) {
        await writeChunk(revocations.slice(start, start + maxEntriesPerWrite))
      }
    },
    isRevoked ({ jti, sid }) {
      if (closed) throw new BlocklistClosedError()
      const keys = [prefix + entryKey('token', jti)]
      if (sid !== undefined) keys.push(prefix + entryKey('session', sid))
      return anyExists(keys)
    },
    async ping () {
      if (closed) throw new BlocklistClosedError()
      await plainly(redis.ping())
    },
    async close () {
      closed = true
      redis.disconnect()
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
