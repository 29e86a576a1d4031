import type { Redis } from 'ioredis'
import { linkTo, type RedisLink } from './link.ts'

/** One shard: keys that share a hash slot, and therefore a server. */
export interface RedisShard {
  /** The hash tag in its keys, which gives them one slot; empty if there is one shard. */
  tag: string
  link: RedisLink
}

/** Returns the text in front of every key of a shard. */
export function shardPrefix (prefix: string, tag: string): string {
  return tag === '' ? prefix : `${prefix}{${tag}}:`
}

/** A server that has shards now. */
export interface RedisServer {
  /** The address, for people. */
  at: string
  redis: Redis
  tags: string[]
}

/** Connections for one purpose to all servers that have shards. */
export interface RedisConnections {
  readonly shards: readonly RedisShard[]
  servers (): RedisServer[]
  /**
   * Opens the connections. Call it once. Rejects, or does not settle, while a server is unreachable; connecting goes on
   * then.
   */
  connect (): Promise<void>
  close (): void
}

/** Returns the connections to a single primary. It has one shard, whose keys carry no tag. */
export function connectionsTo (redis: Redis, at: string): RedisConnections {
  return {
    shards: [{ tag: '', link: linkTo(redis) }],
    servers: () => [{ at, redis, tags: [''] }],
    connect: () => redis.connect(),
    close () { redis.disconnect() }
  }
}
