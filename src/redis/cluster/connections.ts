import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { toPlainError } from '../connection.ts'
import type { RedisConnections, RedisServer } from '../connections.ts'
import { hashTags } from './hash-tags.ts'
import type { RedisLink } from '../link.ts'
import { readTogether } from './read-together.ts'
import type { SlotMap } from './slot-map.ts'
import { formatAddress, type RedisAddress } from '../topology.ts'

/** Matches the error of a server that does not have a shard, or not all of it, or may not have it any more. */
const displaced = /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|READONLY)\b/
/** Matches the error of a server that has moved some keys of a slot to another server, but not all. */
const migrating = /^(ASK|TRYAGAIN)\b/

/** Connections to the servers that have shards, one to each. */
interface Pool {
  /** Returns the connection to the server that has a shard. */
  find (shard: number): Redis | undefined
  servers (): RedisServer[]
  /** Connects to the servers that have shards now, and disconnects from the others. */
  reconcile (): void
  readonly isClosed: boolean
  close (): void
}

function createPool (map: SlotMap, connect: (node: RedisAddress) => Redis, onChanged: (shard: number) => void): Pool {
  const servers = new Map<string, Redis>()
  let isClosed = false

  function addressOf (shard: number): string | undefined {
    const owner = map.ownerOf(shard)
    return owner && formatAddress(owner)
  }

  function open (address: string, node: RedisAddress): Redis {
    const redis = connect(node)
    const changeAll = () => { for (const shard of hashTags.keys()) if (addressOf(shard) === address) onChanged(shard) }
    redis.on('ready', changeAll)
    redis.on('close', () => {
      changeAll()
      if (servers.get(address) === redis) map.doubt()
    })
    // ioredis goes on trying.
    redis.connect().catch(() => {})
    return redis
  }

  return {
    find: shard => servers.get(addressOf(shard) ?? ''),
    servers: () =>
      [...servers].map(([at, redis]) => ({
        at,
        redis,
        tags: hashTags.filter((_, shard) => addressOf(shard) === at).map(({ tag }) => tag)
      })),
    reconcile () {
      if (isClosed) return
      const owners = new Map(hashTags.flatMap((_, shard) => {
        const owner = map.ownerOf(shard)
        return owner === undefined ? [] : [[formatAddress(owner), owner] as const]
      })
      )
      for (const [address, owner] of owners) if (!servers.has(address)) servers.set(address, open(address, owner))
      for (const [address, redis] of servers) {
        if (owners.has(address)) continue
        servers.delete(address)
        redis.disconnect()
      }
    },
    get isClosed () { return isClosed },
    close () {
      isClosed = true
      for (const redis of servers.values()) redis.disconnect()
    }
  }
}

/**
 * Creates the connections to the servers of a cluster. Commands of a shard go to the server that has it by the slot
 * map. Redirections are never followed: the other server was not compared with the record.
 *
 * @param connect creates a connection, without connecting it yet
 */
export function connectToCluster (map: SlotMap, connect: (node: RedisAddress) => Redis): RedisConnections {
  const events = hashTags.map(() => new EventEmitter<{ changed: [boolean], torn: [string] }>())
  const pool = createPool(map, connect, change)
  const isReady = (shard: number) => pool.find(shard)?.status === 'ready'

  function change (shard: number): void {
    events[shard]?.emit('changed', isReady(shard))
  }

  function examine (error: Error, shard: number): Error {
    if (displaced.test(error.message)) change(shard)
    if (migrating.test(error.message)) events[shard]?.emit('torn', 'Its slot is being moved to another server.')
    // After any error, the shard may be on another server.
    map.doubt()
    return toPlainError(error)
  }

  async function run<T> (shard: number, command: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = pool.find(shard)
    if (redis === undefined) throw new Error('No server of the cluster is known to have this part of the blocklist.')
    try {
      return await command(redis)
    } catch (error) {
      throw examine(error as Error, shard)
    }
  }

  function linkOf (shard: number): RedisLink {
    return {
      get isReady () { return isReady(shard) },
      run: command => run(shard, command),
      read: keys => run(shard, redis => readTogether(redis, keys)),
      onChanged (listener) { events[shard]?.on('changed', listener) },
      onTorn (listener) { events[shard]?.on('torn', listener) },
      // Other shards use the connection as well. It is closed with all of them.
      close () {}
    }
  }

  map.onMoved((shard, isTorn) => {
    pool.reconcile()
    change(shard)
    if (isTorn) events[shard]?.emit('torn', 'Its slot was moved to another server.')
  })
  pool.reconcile()

  return {
    shards: hashTags.map(({ tag }, shard) => ({ tag, link: linkOf(shard) })),
    servers: pool.servers,
    async connect () {
      await map.start()
      while (![...hashTags.keys()].every(isReady)) {
        if (pool.isClosed) throw new Error('The connections are closed.')
        await sleep(10)
      }
    },
    close: pool.close
  }
}
