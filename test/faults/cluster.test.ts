import t from 'tap'
import { outcome } from '../support/device.ts'
import { expectLogoutsToHold } from '../support/leaving.ts'
import { startOverCluster } from '../support/over-cluster.ts'
import { get } from '../support/people.ts'
import { infoOf, redisServer } from '../support/redis-group.ts'
import { expectNeverAccepted, logOutFor } from '../support/replicas.ts'
import { until } from '../support/wait.ts'

/** Nodes that fail to elect one try again some seconds later. */
const failoverWithinMs = 40_000

const skip = redisServer === undefined ? 'servers in containers cannot reach each other here' : false

t.test('P2: a primary of a cluster that is killed is replaced by its replica, and no revoked token is accepted meanwhile', { skip }, async t => {
  const replicas = await startOverCluster(t)
  const { a, leaving, owner, others } = replicas
  await logOutFor(t, a, leaving)
  await expectLogoutsToHold(t, replicas, others, () => expectNeverAccepted(t, replicas, leaving, () => owner.kill(), failoverWithinMs))
  await t.test('and it is not trusted for what it was when it comes back', async t => {
    await expectLogoutsToHold(t, replicas, others, () => owner.start())
    t.equal(outcome(await get(a, '/token', leaving)), '401 token_revoked')
  })
})

t.test('P2: a primary of a cluster that hangs is replaced, and is not trusted when it goes on', { skip }, async t => {
  const replicas = await startOverCluster(t)
  const { a, cluster, leaving, owner, slot, others } = replicas
  await logOutFor(t, a, leaving)
  await expectLogoutsToHold(t, replicas, others, () => expectNeverAccepted(t, replicas, leaving, async () => {
    owner.pause()
    await until('another one has the slot', async () => (await cluster.ownerOf(slot)) !== owner, failoverWithinMs)
  }, failoverWithinMs))
  await expectLogoutsToHold(t, replicas, others, async () => {
    owner.resume()
    await until('it follows the other one', async () => await infoOf(owner, 'role') === 'slave', 20_000)
  })
})

t.test('P2: a replica in a cluster that lagged and is promoted does not bring a revoked token back', { skip }, async t => {
  const replicas = await startOverCluster(t)
  const { a, cluster, leaving, owner } = replicas
  const replica = await cluster.replicaOf(owner)
  // From now on nobody may follow it.
  await owner.admin.acl('SETUSER', 'default', '-psync', '-sync')
  await owner.admin.call('CLIENT', 'KILL', 'TYPE', 'replica')
  await until('it has lost the primary', async () => await infoOf(replica, 'master_link_status') === 'down')
  await logOutFor(t, a, leaving)
  t.ok(await replica.admin.dbsize() < await owner.admin.dbsize(), 'it lags')
  await expectNeverAccepted(t, replicas, leaving, () => owner.kill(), failoverWithinMs)
})
