import t, { type Test } from 'tap'
import { testFault } from '../support/fault.ts'
import { expectLogoutsToHold } from '../support/leaving.ts'
import { signUp } from '../support/people.ts'
import { infoOf, startSentinelGroup, type SentinelGroup } from '../support/redis-group.ts'
import { redisServer } from '../support/redis-process.ts'
import { expectNeverAccepted, logOutFor, startReplicasOn, type Replicas } from '../support/replicas.ts'
import { until } from '../support/wait.ts'
import { topologyRows } from './rows/topologies.ts'

interface Scene extends Omit<Replicas, 'redis'> {
  group: SentinelGroup
  /** Other users, who sign in and out. */
  others: string[]
}

async function scene (t: Test): Promise<Scene> {
  const group = await startSentinelGroup(t)
  const replicas = await startReplicasOn(t, {
    REDIS_SENTINELS: group.sentinels.map(({ address }) => address).join(','),
    REDIS_MASTER_NAME: group.masterName,
    BLOCKLIST_DEADLINE_MS: '5000'
  })
  return { ...replicas, group, others: [(await signUp(replicas.a)).username] }
}

/** The longest time for a failover. Sentinels whose votes are split try again some seconds later. */
const failoverWithinMs = 40_000

const skip = redisServer === undefined ? 'servers in containers cannot reach each other here' : false

testFault(t, topologyRows.sentinelPrimaryKilled, async t => {
  const replicas = await scene(t)
  const { a, group, leaving, others } = replicas
  await logOutFor(t, a, leaving)
  await expectLogoutsToHold(t, replicas, others, () =>
    expectNeverAccepted(
      t, replicas, leaving, async () => { await (await group.primary()).kill() }, failoverWithinMs
    )
  )
}, { skip })

testFault(t, topologyRows.sentinelPrimaryReplaced, async t => {
  const replicas = await scene(t)
  const { a, b, group, leaving, others } = replicas
  await logOutFor(t, a, leaving)
  const old = await group.primary()
  await expectLogoutsToHold(t, replicas, others, () => expectNeverAccepted(t, replicas, leaving, async () => {
    old.pause()
    await until('another one is the primary', async () => await group.primary() !== old, failoverWithinMs)
  }, failoverWithinMs))
  const { username } = await signUp(b)
  await expectLogoutsToHold(t, replicas, [username], async () => {
    old.resume()
    t.equal(await infoOf(old, 'role'), 'master', 'it takes itself for the primary still')
  })
}, { skip })

testFault(t, topologyRows.sentinelPromotesLagging, async t => {
  const replicas = await scene(t)
  const { a, group, leaving } = replicas
  const primary = await group.primary()
  // Sentinel promotes no Redis replica that was without its primary for longer than ten times this.
  await Promise.all(
    group.sentinels.map(({ admin }) =>
      admin.call('SENTINEL', 'SET', group.masterName, 'down-after-milliseconds', '3000')
    )
  )
  // From now on, no Redis replica may follow the primary.
  await primary.admin.acl('SETUSER', 'default', '-psync', '-sync')
  await primary.admin.call('CLIENT', 'KILL', 'TYPE', 'replica')
  for (const replica of await group.replicas()) {
    await until('it has lost the primary', async () => await infoOf(replica, 'master_link_status') === 'down')
  }
  await logOutFor(t, a, leaving)
  for (const replica of await group.replicas()) {
    t.ok((await replica.admin.dbsize()) < (await primary.admin.dbsize()), 'it lags')
  }
  await expectNeverAccepted(t, replicas, leaving, () => primary.kill(), failoverWithinMs)
}, { skip })
