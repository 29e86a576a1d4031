import { OutageError, StartupError } from '../errors.ts'
import { withDeadline } from '../timing/deadline.ts'
import { createRedisConnection, type RedisConnectionOptions } from './connection.ts'
import { connectToCluster } from './cluster/connections.ts'
import { connectionsTo, type RedisConnections } from './connections.ts'
import { createSlotMap } from './cluster/slot-map.ts'
import {
  describeTopology,
  toNodeOptions,
  toRedisOptions,
  variableOf,
  type ClusterTopology,
  type RedisAddress,
  type RedisTopology
} from './topology.ts'

/** The servers of Redis, however they are arranged. */
export interface OpenRedis {
  /** Connections for one purpose, which are still to be made. */
  attach (options: RedisConnectionOptions): RedisConnections
  /**
   * Makes connections for one purpose, and waits until they are made. `onLost` is told of what is lost later.
   *
   * Throws an {@link OutageError} when there is no Redis there now, and a {@link StartupError} for settings that will
   * never do.
   */
  connect (options: RedisConnectionOptions): Promise<RedisConnections>
  /** Closes all of them. */
  close (): void
}

/** How long Redis may take at start, in milliseconds. */
const connectDeadlineMs = 5_000
/** How long a node may take to tell the slots, in milliseconds. */
const scoutDeadlineMs = 1_000

/** What is said where settings are wrong: of a user, a database, a name, a certificate, or of what is no Redis. */
const mistake =
  /^(WRONGPASS|NOAUTH|NOPERM|ERR (?!max number of clients)|Protocol error)|ENOTFOUND|EAI_AGAIN|certificate|SSL routines/

/** Throws a {@link StartupError} when the certificates that it names cannot be read. */
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
        throw cannotConnect(topology, reason ?? (cause as Error).message, cause)
      }
    },
    close
  }
}

function cannotConnect (topology: RedisTopology, reason: string, cause: unknown): StartupError {
  const where = `${variableOf(topology)}: cannot connect to ${describeTopology(topology)}`
  const message = `${where} (${reason}). Start Redis there, or correct the variable.`
  return mistake.test(reason) ? new StartupError(message, { cause }) : new OutageError('blocklist', message, { cause })
}

type Attached = Pick<OpenRedis, 'attach' | 'close'>

function attachTo (topology: Exclude<RedisTopology, ClusterTopology>): Attached {
  const server = toRedisOptions(topology)
  const opened: RedisConnections[] = []
  return {
    attach (options) {
      const connections = connectionsTo(createRedisConnection(server, options), describeTopology(topology))
      opened.push(connections)
      return connections
    },
    close () { for (const connections of opened) connections.close() }
  }
}

/** The connections of all purposes go by the same map. */
function attachToCluster (topology: ClusterTopology): Attached {
  const common = toNodeOptions(topology)
  const connectTo = (node: RedisAddress, options: RedisConnectionOptions) =>
    createRedisConnection({ ...common, ...node }, options)
  const map = createSlotMap({
    nodes: topology.nodes,
    connect: node => connectTo(node, { deadlineMs: scoutDeadlineMs })
  })
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
