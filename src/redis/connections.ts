import type { Redis } from 'ioredis'
import { linkTo, type RedisLink } from './link.ts'

/** A part of what is kept in Redis that is in one place at a time. */
export interface RedisShard {
  /** What its keys carry, so that they have one slot; empty where there is one shard. */
  tag: string
  link: RedisLink
}

/** In front of every key of a shard. */
export function shardPrefix (prefix: string, tag: string): string {
  return tag === '' ? prefix : `${prefix}{${tag}}:`
}

/** A server that has shards now. */
export interface RedisServer {
  /** Where it is, for people. */
  at: string
  redis: Redis
  tags: string[]
}

/** Connections for one purpose to whichever servers have the shards. */
export interface RedisConnections {
  readonly shards: readonly RedisShard[]
  servers (): RedisServer[]
  /** Makes them. Rejects, or takes long, when they cannot be made; it goes on trying then. To be called once. */
  connect (): Promise<void>
  close (): void
}

/** A single primary has one shard, whose keys carry no tag. */
export function connectionsTo (redis: Redis, at: string): RedisConnections {
  return {
    shards: [{ tag: '', link: linkTo(redis) }],
    servers: () => [{ at, redis, tags: [''] }],
    connect: () => redis.connect(),
    close () { redis.disconnect() }
  }
}
