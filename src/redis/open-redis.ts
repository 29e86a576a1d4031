import { withDeadline } from '../timing/deadline.ts'
import { explainRedisError } from './connect-error.ts'
import { createRedisConnection, type RedisConnectionOptions } from './connection.ts'
import { connectToCluster } from './cluster/connections.ts'
import { connectionsTo, type RedisConnections } from './connections.ts'
import { createSlotMap } from './cluster/slot-map.ts'
import type { RedisOptions } from 'ioredis'
import {
  describeTopology,
  toNodeOptions,
  toRedisOptions,
  type ClusterTopology,
  type RedisAddress,
  type RedisTopology
} from './topology.ts'

/** The Redis servers of a topology. */
export interface OpenRedis {
  /** Creates connections for one purpose, without opening them. */
  attach (options: RedisConnectionOptions): RedisConnections
  /**
   * Opens connections for one purpose, and waits for them for five seconds at most. `onLost` is only called for later
   * losses.
   *
   * Rejects with an `OutageError` when Redis is unreachable, and with a `StartupError` when a setting is wrong. All
   * connections are closed then.
   */
  connect (options: RedisConnectionOptions): Promise<RedisConnections>
  /** Closes all connections. */
  close (): void
}

/** The longest time for connecting to Redis at start, in milliseconds. */
const connectDeadlineMs = 5_000
/** The longest time for a node to list the slots, in milliseconds. */
const scoutDeadlineMs = 1_000

/** Prepares the connections to a topology. Throws a `StartupError` when its certificates cannot be read. */
export function openRedis (topology: RedisTopology): OpenRedis {
  const { attach, close } = topology.kind === 'cluster' ? attachToCluster(topology) : attachTo(topology)
  return {
    attach,
    async connect (options) {
      let reason: string | undefined
      let isConnected = false
      const connections = attach({
        ...options,
        onLost: err => {
          reason = err.message
          if (isConnected) options.onLost?.(err)
        }
      })
      try {
        await withDeadline(connections.connect(), connectDeadlineMs)
        isConnected = true
        return connections
      } catch (cause) {
        close()
        throw explainRedisError(topology, reason ?? (cause as Error).message, cause)
      }
    },
    close
  }
}

/** Connections to one topology. `attach` creates those for one purpose, and `close` closes all of them. */
export type Attached = Pick<OpenRedis, 'attach' | 'close'>

function attachTo (topology: Exclude<RedisTopology, ClusterTopology>): Attached {
  return attachToServer(toRedisOptions(topology), describeTopology(topology))
}

/** Prepares connections to a single primary. */
export function attachToServer (server: RedisOptions, at: string): Attached {
  const opened: RedisConnections[] = []
  return {
    attach (options) {
      const connections = connectionsTo(createRedisConnection(server, options), at)
      opened.push(connections)
      return connections
    },
    close () { for (const connections of opened) connections.close() }
  }
}

function attachToCluster (topology: ClusterTopology): Attached {
  return attachToNodes(topology.nodes, toNodeOptions(topology))
}

/**
 * Prepares connections to a cluster. All of them use one slot map.
 *
 * @param nodes the nodes that are asked for the others
 * @param common the options of ioredis for each node, without its address
 * @param translate returns the address at which a node is reached from here
 */
export function attachToNodes (
  nodes: readonly RedisAddress[],
  common: RedisOptions,
  translate = (node: RedisAddress): RedisAddress => node
): Attached {
  const connectTo = (node: RedisAddress, options: RedisConnectionOptions) =>
    createRedisConnection({ ...common, ...translate(node) }, options)
  const map = createSlotMap({ nodes, connect: node => connectTo(node, { deadlineMs: scoutDeadlineMs }) })
  const opened: RedisConnections[] = []
  return {
    attach (options) {
      const connections = connectToCluster(map, node => connectTo(node, options))
      opened.push(connections)
      return connections
    },
    close () {
      map.stop()
      for (const connections of opened) connections.close()
    }
  }
}
