import type { FaultRow } from '../../support/fault.ts'

/** The faults of a Redis with Redis replicas, behind Sentinel, and in a cluster. */
export const topologyRows = {
  laggingFailover: {
    promise: 'P2',
    fault: 'Redis fails over to a lagging Redis replica',
    get: '503 `revocation_unavailable`, until the missing entries are written from the record',
    within: 'at once',
    never: '200 for a token whose revocation the Redis replica lacked',
    recovers: 'automatically'
  },
  waitReplicaStalled: {
    fault: 'With `BLOCKLIST_WAIT_REPLICAS`, a Redis replica stalls',
    get: '503 `revocation_unavailable` for a logout; everything else as usual',
    within: 'within the deadline',
    never: '200 for a logout that the Redis replica lacks, or a look-up that waits',
    recovers: 'a retry succeeds once the Redis replica resumes'
  },
  waitReplicasTooFew: {
    fault: 'There are fewer Redis replicas than `BLOCKLIST_WAIT_REPLICAS`',
    get: '503 `revocation_unavailable` for a logout, which takes effect all the same',
    within: 'within the deadline',
    never: '200 for a logout that too few Redis replicas have',
    recovers: 'when there are enough Redis replicas'
  },
  sentinelPrimaryKilled: {
    promise: 'P2',
    fault: 'The primary behind Sentinel is killed',
    get: '503 `revocation_unavailable`, until the primary that Sentinel names is compared with the record',
    within: 'at once',
    never: '200 for a revoked token',
    recovers: 'automatically, after the failover'
  },
  sentinelPrimaryReplaced: {
    promise: 'P2',
    fault: 'The primary behind Sentinel stalls (SIGSTOP), is replaced, resumes',
    get: '503 `revocation_unavailable`, until the new primary is compared with the record',
    within: 'within the deadline',
    never: '200 for a revoked token, even if the old primary answers',
    recovers: 'automatically, after the failover'
  },
  sentinelPromotesLagging: {
    promise: 'P2',
    fault: 'Sentinel promotes a lagging Redis replica',
    get: '503 `revocation_unavailable`, until the missing entries are written from the record',
    within: 'at once',
    never: '200 for a token whose revocation the Redis replica lacked',
    recovers: 'automatically, after the failover'
  },
  clusterPrimaryKilled: {
    promise: 'P2',
    fault: 'A primary of a cluster is killed',
    get: '503 `revocation_unavailable` for its shards, until the promoted Redis replica is compared with the record',
    within: 'at once',
    never: '200 for a revoked token',
    recovers: 'automatically, after the failover; the old primary is not trusted as before when it returns'
  },
  clusterPrimaryReplaced: {
    promise: 'P2',
    fault: 'A primary of a cluster stalls (SIGSTOP), is replaced, resumes',
    get: '503 `revocation_unavailable`, only for its shards until the new primary is compared with the record',
    within: 'within the deadline',
    never: '200 for a revoked token, even if the old primary answers',
    recovers: 'automatically, after the failover'
  },
  clusterPromotesLagging: {
    promise: 'P2',
    fault: 'A cluster promotes a lagging Redis replica',
    get: '503 `revocation_unavailable` for its shards, until the missing entries are written from the record',
    within: 'at once',
    never: '200 for a token whose revocation the Redis replica lacked',
    recovers: 'automatically, after the failover'
  },
  slotsMoved: {
    promise: 'P2',
    fault: 'Slots of a cluster move to another primary',
    get: '503 `revocation_unavailable` at times, for tokens of a shard that is moving',
    within: 'at once',
    never: '200 for a revoked token',
    recovers: 'automatically, when the slot has moved and its shard is rebuilt'
  },
  moveBrokenOff: {
    promise: 'P2',
    fault: 'The move of a slot is broken off half-way, and leaves the marker',
    get: '503 `revocation_unavailable`, until the shard is rebuilt from the record',
    within: 'noticed by the next look-up of the shard, or within a second',
    never: '200 for a revoked token, once noticed',
    recovers: 'automatically'
  },
  primaryDiesInMove: {
    promise: 'P2',
    fault: 'A primary dies in a slot move; its Redis replica has only the marker',
    get: '503 `revocation_unavailable`, until the shard is rebuilt from the record',
    within: 'noticed by the next look-up of the shard, or within a second',
    never: '200 for a revoked token, once noticed',
    recovers: 'automatically, after the failover'
  }
} satisfies Record<string, FaultRow>
