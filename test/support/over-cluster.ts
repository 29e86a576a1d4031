import type { Test } from 'tap'
import { hashTags, shardOf } from '../../src/redis/cluster/hash-tags.ts'
import { signUp } from './people.ts'
import { startCluster, type RedisCluster } from './redis-cluster.ts'
import type { Node } from './redis-group.ts'
import { startReplicasOn, type Replicas } from './replicas.ts'

/** Two replicas of the service over a cluster. */
export interface OverCluster extends Omit<Replicas, 'redis'> {
  cluster: RedisCluster
  /** Other users, who sign in and out. */
  others: string[]
  /** The slot of the user whose tokens `good` and `leaving` are, the primary that has it, and another primary. */
  slot: number
  owner: Node
  other: Node
}

export async function startOverCluster (t: Test): Promise<OverCluster> {
  const cluster = await startCluster(t)
  const replicas = await startReplicasOn(t, { REDIS_CLUSTER_NODES: cluster.addresses, BLOCKLIST_DEADLINE_MS: '5000' })
  const { slot } = hashTags[shardOf(replicas.userId, hashTags.length)] as typeof hashTags[number]
  const owner = await cluster.ownerOf(slot)
  const other = cluster.nodes.slice(0, 3).find(node => node !== owner) as Node
  const others = await Promise.all(Array.from({ length: 3 }, async () => (await signUp(replicas.a)).username))
  return { ...replicas, cluster, slot, owner, other, others }
}
