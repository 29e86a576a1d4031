import type { RedisShard } from '../redis/connections.ts'
import { shardOf } from '../redis/hash-tags.ts'
import { runScript } from '../redis/link.ts'

/** What the library of the limits needs of a client: the script that counts. */
export interface RedisStore {
  /** Whether every server is connected. */
  readonly isReady: boolean
  /** Rejects at once where the server that counts that key is not. */
  rlflxIncr (keyAndArguments: string[]): Promise<[number, number]>
}

/** Counts each key in the shard that it falls to, by whatever connection leads there. */
export function createRedisStore (shards: readonly RedisShard[], script: string): RedisStore {
  return {
    get isReady () { return shards.every(({ link }) => link.isReady) },
    async rlflxIncr ([key = '', ...args]) {
      const { tag, link } = shards[shardOf(key, shards.length)] as RedisShard
      if (!link.isReady) throw new Error('Redis is not connected.')
      return await link.run(redis => runScript<[number, number]>(redis, 'signoutCount', script, [tag === '' ? key : `${key}{${tag}}`], args))
    }
  }
}
