import type { Test } from 'tap'
import { infoOf, startNode, type Node } from './redis-group.ts'
import { until } from './wait.ts'

/** A Redis cluster: three primaries with a Redis replica each. */
export interface RedisCluster {
  nodes: Node[]
  /** The addresses of all nodes, as REDIS_CLUSTER_NODES has them. */
  addresses: string
  /** Returns the node that has a slot, as one of the live nodes says. */
  ownerOf (slot: number): Promise<Node>
  /** Returns the Redis replica that may take the place of a primary. */
  replicaOf (primary: Node): Promise<Node>
  /** Begins to move a slot. Its keys stay where they are, and it still belongs to `from`. */
  beginMove (slot: number, from: Node, to: Node): Promise<void>
  /** Moves the keys of a slot, or `count` of them. Returns how many were moved. */
  moveKeys (slot: number, from: Node, to: Node, count?: number): Promise<number>
  /** Ends a move. */
  endMove (slot: number, from: Node, to: Node): Promise<void>
  /** Returns the keys of all primaries. */
  keys (pattern: string): Promise<string[]>
}

const slots = 16_384
const nodeTimeoutMs = 2_000

export interface ClusterOptions {
  lines?: (port: number) => string[]
  admin?: object
}

/** Starts a cluster for one test, and waits until every node reports that it is well. */
export async function startCluster (t: Test, { lines = () => [], admin }: ClusterOptions = {}): Promise<RedisCluster> {
  const nodes = await Promise.all(
    Array.from({ length: 6 }, () =>
      startNode(t, {
        lines: port => [
          'cluster-enabled yes', `cluster-node-timeout ${nodeTimeoutMs}`, 'cluster-replica-validity-factor 0',
          'repl-ping-replica-period 1', ...lines(port)
        ],
        ...admin && { admin }
      })
    )
  )
  const primaries = nodes.slice(0, 3)
  const idOf = async (node: Node) => await node.admin.cluster('MYID') as string
  await Promise.all(
    primaries.map((node, index) =>
      node.admin.call(
        'CLUSTER', 'ADDSLOTSRANGE', Math.ceil(index * slots / 3), Math.ceil((index + 1) * slots / 3) - 1
      )
    )
  )
  // Different epochs from the start: two primaries that share one would settle the conflict only later.
  for (const [index, node] of nodes.entries()) await node.admin.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
  // Each node meets all others: gossip would take its time.
  await Promise.all(
    nodes.map(async ({ admin }) => {
      for (const { port } of nodes) await admin.call('CLUSTER', 'MEET', '127.0.0.1', port)
    })
  )
  await until('the nodes know each other', async () =>
    (
      await Promise.all(nodes.map(async ({ admin }) => /cluster_known_nodes:6/.test(await admin.cluster('INFO'))))
    ).every(Boolean), 20_000)
  await Promise.all(nodes.slice(3).map(async (node, index) => {
    const primary = await idOf(primaries[index] as Node)
    await until('it follows', () => node.admin.call('CLUSTER', 'REPLICATE', primary).then(() => true, () => false))
  }))
  await until('the cluster is well', async () =>
    (
      await Promise.all(
        nodes.map(async node =>
          /cluster_state:ok/.test(await node.admin.cluster('INFO')) &&
          await infoOf(node, 'master_link_status') !== 'down')
      )
    ).every(Boolean), 20_000)
  await until('everybody knows the replicas', async () =>
    (
      await Promise.all(
        nodes.map(async ({ admin }) =>
          (await admin.cluster('SLOTS') as unknown[][]).filter(range => range.length === 4).length === 3)
      )
    ).every(Boolean), 20_000)

  /** Asks all nodes, and returns the first answer. */
  async function ask<T> (question: (node: Node) => Promise<T>): Promise<T> {
    return await Promise.any(nodes.map(question))
  }
  const byPort = (port: number) => nodes.find(node => node.port === port) as Node
  const ownerOf = (slot: number) => ask(async ({ admin }) => {
    const ranges = await admin.cluster('SLOTS')
    const [, , [, port] = []] = ranges.find(([first, last]) => slot >= first && slot <= last) ?? []
    return byPort(Number(port))
  })
  return {
    nodes,
    addresses: nodes.map(({ address }) => address).join(','),
    ownerOf,
    async replicaOf (primary) {
      const [line] = await primary.admin.call('CLUSTER', 'REPLICAS', await idOf(primary)) as string[]
      return byPort(Number(/:(\d+)@/.exec(line ?? '')?.[1]))
    },
    async beginMove (slot, from, to) {
      await to.admin.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', await idOf(from))
      await from.admin.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', await idOf(to))
    },
    async moveKeys (slot, from, to, count = Infinity) {
      let moved = 0
      while (moved < count) {
        const keys = await from.admin.call('CLUSTER', 'GETKEYSINSLOT', slot, Math.min(10, count - moved)) as string[]
        if (keys.length === 0) break
        await from.admin.call('MIGRATE', '127.0.0.1', to.port, '', 0, 5_000, 'KEYS', ...keys)
        moved += keys.length
      }
      return moved
    },
    async endMove (slot, from, to) {
      const id = await idOf(to)
      await to.admin.call('CLUSTER', 'SETSLOT', slot, 'NODE', id)
      await from.admin.call('CLUSTER', 'SETSLOT', slot, 'NODE', id)
    },
    async keys (pattern) {
      const owners = new Set(await Promise.all(Array.from({ length: 16 }, (_, index) => ownerOf(index * 1_024 + 512))))
      return (await Promise.all([...owners].map(({ admin }) => admin.keys(pattern)))).flat()
    }
  }
}
