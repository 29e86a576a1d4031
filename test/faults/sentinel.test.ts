import t, { type Test } from 'tap'
import { testFault } from '../support/fault.ts'
import { signUp } from '../support/people.ts'
import { expectLogoutsToHold } from '../support/leaving.ts'
import { infoOf, redisServer, startSentinelGroup, type SentinelGroup } from '../support/redis-group.ts'
import { expectNeverAccepted, logOutFor, startReplicasOn, type Replicas } from '../support/replicas.ts'
import { until } from '../support/wait.ts'

interface Scene extends Omit<Replicas, 'redis'> {
  group: SentinelGroup
  /** Others who come and go. */
  others: string[]
}

async function scene (t: Test): Promise<Scene> {
  const group = await startSentinelGroup(t)
  const replicas = await startReplicasOn(t, {
    REDIS_SENTINELS: group.sentinels.map(({ address }) => address).join(','),
    REDIS_MASTER_NAME: group.masterName,
    BLOCKLIST_DEADLINE_MS: '500'
  })
  return { ...replicas, group, others: [(await signUp(replicas.a)).username] }
}

/** Sentinels that vote for different ones among them try again some seconds later. */
const failoverWithinMs = 40_000

const skip = redisServer === undefined ? 'servers in containers cannot reach each other here' : false

testFault(t, {
  fault: 'The primary behind Sentinel is killed',
  promise: 'P2',
  get: '503 `revocation_unavailable` until the one that Sentinel names was compared with the record',
  within: 'at once',
  never: '200 for what was logged out',
  recovers: 'by itself, after the failover'
}, async t => {
  const replicas = await scene(t)
  const { a, group, leaving, others } = replicas
  await logOutFor(t, a, leaving)
  await expectLogoutsToHold(t, replicas, others, () =>
    expectNeverAccepted(
      t, replicas, leaving, async () => { await (await group.primary()).kill() }, failoverWithinMs
    )
  )
}, { skip })

testFault(t, {
  fault: 'The primary behind Sentinel hangs (SIGSTOP), is replaced, and goes on later',
  promise: 'P2',
  get: '503 `revocation_unavailable` until the new one was compared with the record',
  within: 'the deadline',
  never: '200 for what was logged out, by the word of the old one neither',
  recovers: 'by itself, after the failover'
}, async t => {
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

testFault(t, {
  fault: 'Sentinel promotes a replica that lagged',
  promise: 'P2',
  get: '503 `revocation_unavailable` until what is missing was written again from the record',
  within: 'at once',
  never: '200 for what the replica had not been told of',
  recovers: 'by itself, after the failover'
}, async t => {
  const replicas = await scene(t)
  const { a, group, leaving } = replicas
  const primary = await group.primary()
  // Sentinel promotes nobody who has been without the primary for longer than ten times this.
  await Promise.all(
    group.sentinels.map(({ admin }) =>
      admin.call('SENTINEL', 'SET', group.masterName, 'down-after-milliseconds', '3000')
    )
  )
  // From now on nobody may follow it.
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
