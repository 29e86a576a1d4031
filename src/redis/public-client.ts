import type { Redis, RedisOptions } from 'ioredis'
import { shown } from '../input/check-options.ts'
import {
  boundCommands, describeServer, isOurConnection, toPlainError, type RedisConnectionOptions
} from './connection.ts'
import { connectionsTo, type RedisConnections } from './connections.ts'
import { attachToNodes, attachToServer, type Attached } from './open-redis.ts'
import { formatAddress, type RedisAddress } from './topology.ts'

/**
 * An ioredis client, of version 5 or 6: `Redis`, also behind Sentinel, or `Cluster`. The type names only the members
 * that are used, so that clients of both versions fit.
 */
export interface IoredisClient {
  /** The options of the client. They say where Redis is, and who may use it. */
  readonly options: object
  readonly status: string
  readonly isCluster: boolean
}

/** The options that say where Redis is, and who may use it. All others are those of the blocklist. */
const taken = [
  'host', 'port', 'path', 'family', 'tls', 'username', 'password', 'db', 'keepAlive', 'noDelay', 'connectionName',
  'sentinels', 'name', 'sentinelUsername', 'sentinelPassword', 'sentinelTLS', 'enableTLSForSentinelMode', 'natMap',
  'updateSentinels', 'disableClientInfo', 'clientInfoTag'
] as const

/** Options with which a blocklist cannot work, and what to do instead. */
const refused: Record<string, string> = {
  keyPrefix: 'Make it a part of the option prefix of the blocklist.',
  Connector: 'Use a client that connects to an address.',
  role: 'The blocklist needs the primary: leave it out.'
}

/**
 * Prepares connections to the Redis that a client leads to. They have bounds of their own: no setting of the client
 * decides about deadlines, queues or repeated commands. The client itself is not used, and not closed.
 *
 * A connection that `createRedisConnection` made has these bounds. It becomes the first one of the first blocklist that
 * gets it, which closes it.
 *
 * Throws a TypeError that names an option with which a blocklist cannot work.
 */
export function openClient (client: IoredisClient): Attached {
  if (client.isCluster) return openCluster(client as IoredisCluster)
  const { options } = client as { options: RedisOptions }
  const others = attachToServer(takeOptions(options), describeServer(options))
  if (!isOurConnection(client) || takenOver.has(client)) return others
  takenOver.add(client)
  return withFirst(client, others, describeServer(options))
}

/** The connections of ours that a blocklist has. To another blocklist they only say where Redis is. */
const takenOver = new WeakSet<object>()

/** Throws a TypeError unless a value is an ioredis client that a blocklist can use. */
export function checkClient (value: unknown): asserts value is IoredisClient {
  const { mget, options } = (value ?? {}) as { mget?: unknown, options?: unknown }
  if (typeof mget !== 'function' || typeof options !== 'object' || options === null) {
    throw new TypeError(
      `redis is ${shown(value)}; it must be a connection made by createRedisConnection, or a client of ioredis.`
    )
  }
  const { redisOptions = {} } = options as { redisOptions?: object }
  for (const [name, cure] of Object.entries(refused)) {
    const found = (options as Record<string, unknown>)[name] ?? (redisOptions as Record<string, unknown>)[name]
    if (!found || found === 'master') continue
    throw new TypeError(`redis has the option ${name}, with which a blocklist cannot work. ${cure}`)
  }
}

function takeOptions (options: RedisOptions): RedisOptions {
  const known = taken.flatMap(name => (options[name] ?? undefined) === undefined ? [] : [[name, options[name]]])
  // Without a failover detector, ioredis stays with a primary that was replaced and still answers.
  return { ...Object.fromEntries(known) as RedisOptions, ...options.sentinels && { failoverDetector: true } }
}

/** Makes a connection of ours the first one of a blocklist. */
function withFirst (first: Redis, others: Attached, at: string): Attached {
  let isTaken = false
  return {
    attach (options) {
      if (isTaken) return others.attach(options)
      isTaken = true
      return takeOver(first, options, at)
    },
    close () {
      others.close()
      first.disconnect()
    }
  }
}

/** Returns connections over a client that its owner connects, or has connected already. */
function takeOver (redis: Redis, options: RedisConnectionOptions, at: string): RedisConnections {
  boundCommands(redis, options.deadlineMs, options.isBoundElsewhere)
  redis.on('error', error => { options.onLost?.(toPlainError(error)) })
  return {
    ...connectionsTo(redis, at),
    async connect () {
      if (redis.status === 'wait') await new Promise(resolve => { redis.once('connecting', resolve) })
      if (redis.status !== 'ready') await new Promise(resolve => { redis.once('ready', resolve) })
    }
  }
}

interface IoredisCluster extends IoredisClient {
  options: { redisOptions?: RedisOptions, natMap?: NatMap }
  startupNodes: Array<string | number | RedisOptions>
}

type NatMap = Record<string, RedisAddress> | ((address: string) => RedisAddress | null | undefined)

function openCluster ({ options: { redisOptions = {}, natMap }, startupNodes }: IoredisCluster): Attached {
  const nodes = startupNodes.map(toNode)
  const [first] = startupNodes
  const common = takeOptions({ ...typeof first === 'object' && first, ...redisOptions })
  const translate = (node: RedisAddress) => {
    const address = formatAddress(node)
    return (typeof natMap === 'function' ? natMap(address) : natMap?.[address]) ?? node
  }
  return attachToNodes(nodes, common, translate)
}

/** Returns a startup node as ioredis understands it: a port, an address, or options. */
function toNode (node: string | number | RedisOptions): RedisAddress {
  if (typeof node === 'object') return { host: node.host ?? '127.0.0.1', port: Number(node.port ?? 6379) }
  if (typeof node === 'number' || /^\d+$/.test(node)) return { host: '127.0.0.1', port: Number(node) }
  const { hostname, port } = new URL(node.includes('://') ? node : `redis://${node}`)
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 6379) }
}
