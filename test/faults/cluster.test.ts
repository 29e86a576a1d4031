import t from 'tap'
import { hashTags, shardOf } from '../../src/redis/cluster/hash-tags.ts'
import { testFault } from '../support/fault.ts'
import { expectLogoutsToHold } from '../support/leaving.ts'
import { startOverCluster, type OverCluster } from '../support/over-cluster.ts'
import { signUp } from '../support/people.ts'
import { infoOf } from '../support/redis-group.ts'
import { redisServer } from '../support/redis-process.ts'
import { expectNeverAccepted, keepAsking, logOutFor } from '../support/replicas.ts'
import { get, outcome } from '../support/requests.ts'
import { until } from '../support/wait.ts'
import { topologyRows } from './rows/topologies.ts'

/** The longest time for a failover. Nodes whose election fails try again some seconds later. */
const failoverWithinMs = 40_000

const skip = redisServer === undefined ? 'servers in containers cannot reach each other here' : false

/** Signs up a user whose token is looked up on another primary, and returns the token. */
async function signUpElsewhere ({ a, cluster, owner }: OverCluster): Promise<string> {
  for (;;) {
    const { id, token } = await signUp(a)
    if ((await cluster.ownerOf((hashTags[shardOf(id, hashTags.length)] as (typeof hashTags)[number]).slot)) !== owner) {
      return token
    }
  }
}

testFault(t, topologyRows.clusterPrimaryKilled, async t => {
  const replicas = await startOverCluster(t)
  const { a, leaving, owner, others } = replicas
  await logOutFor(t, a, leaving)
  await expectLogoutsToHold(t, replicas, others, () =>
    expectNeverAccepted(t, replicas, leaving, () => owner.kill(), failoverWithinMs)
  )
  await t.test('and it is not trusted for what it was when it comes back', async t => {
    await expectLogoutsToHold(t, replicas, others, () => owner.start())
    t.equal(outcome(await get(a, '/token', leaving)), '401 token_revoked')
  })
}, { skip })

testFault(t, topologyRows.clusterPrimaryReplaced, async t => {
  const replicas = await startOverCluster(t)
  const { a, cluster, leaving, owner, slot, others } = replicas
  await logOutFor(t, a, leaving)
  const elsewhere = await signUpElsewhere(replicas)
  // By default, all nodes refuse every command while one slot has no server.
  for (const { admin } of cluster.nodes) await admin.config('SET', 'cluster-require-full-coverage', 'no')
  await expectLogoutsToHold(t, replicas, others, () =>
    expectNeverAccepted(t, replicas, leaving, async () => {
      const { said, stop } = keepAsking(replicas.apps, elsewhere)
      const replica = await cluster.replicaOf(owner)
      await replica.admin.config('SET', 'cluster-replica-no-failover', 'yes')
      owner.pause()
      // Longer than a marker may lag, while users log out.
      await new Promise(resolve => setTimeout(resolve, 7_000))
      await replica.admin.config('SET', 'cluster-replica-no-failover', 'no')
      await until('another one has the slot', async () => (await cluster.ownerOf(slot)) !== owner, failoverWithinMs)
      await stop()
      t.same(
        said.map(answers => [...answers]), [['200'], ['200']], 'tokens of the other parts are checked as ever'
      )
    }, failoverWithinMs)
  )
  await expectLogoutsToHold(t, replicas, others, async () => {
    owner.resume()
    await until('it follows the other one', async () => await infoOf(owner, 'role') === 'slave', 20_000)
  })
}, { skip })

testFault(t, topologyRows.clusterPromotesLagging, async t => {
  const replicas = await startOverCluster(t)
  const { a, cluster, leaving, owner } = replicas
  const replica = await cluster.replicaOf(owner)
  // From now on, no Redis replica may follow the primary.
  await owner.admin.acl('SETUSER', 'default', '-psync', '-sync')
  await owner.admin.call('CLIENT', 'KILL', 'TYPE', 'replica')
  await until('it has lost the primary', async () => await infoOf(replica, 'master_link_status') === 'down')
  await logOutFor(t, a, leaving)
  t.ok(await replica.admin.dbsize() < await owner.admin.dbsize(), 'it lags')
  await expectNeverAccepted(t, replicas, leaving, () => owner.kill(), failoverWithinMs)
}, { skip })
