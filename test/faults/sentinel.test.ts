import t, { type Test } from 'tap'
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

t.test('P2: a primary that is killed is replaced by the one that Sentinel names, and no revoked token is accepted meanwhile', { skip }, async t => {
  const replicas = await scene(t)
  const { a, group, leaving, others } = replicas
  await logOutFor(t, a, leaving)
  await expectLogoutsToHold(t, replicas, others, () => expectNeverAccepted(t, replicas, leaving, async () => { await (await group.primary()).kill() }, failoverWithinMs))
})

t.test('P2: a primary that hangs is replaced too, and is not trusted when it goes on', { skip }, async t => {
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
})

t.test('P2: a replica that lagged and is promoted does not bring a revoked token back', { skip }, async t => {
  const replicas = await scene(t)
  const { a, group, leaving } = replicas
  const primary = await group.primary()
  // Sentinel promotes nobody who has been without the primary for longer than ten times this.
  await Promise.all(group.sentinels.map(({ admin }) => admin.call('SENTINEL', 'SET', group.masterName, 'down-after-milliseconds', '3000')))
  // From now on nobody may follow it.
  await primary.admin.acl('SETUSER', 'default', '-psync', '-sync')
  await primary.admin.call('CLIENT', 'KILL', 'TYPE', 'replica')
  for (const replica of await group.replicas()) await until('it has lost the primary', async () => await infoOf(replica, 'master_link_status') === 'down')
  await logOutFor(t, a, leaving)
  for (const replica of await group.replicas()) t.ok(await replica.admin.dbsize() < await primary.admin.dbsize(), 'it lags')
  await expectNeverAccepted(t, replicas, leaving, () => primary.kill(), failoverWithinMs)
})
