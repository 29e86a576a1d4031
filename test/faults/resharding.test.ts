import t from 'tap'
import { formatMarker } from '../../src/record/marker.ts'
import { hashTags } from '../../src/redis/cluster/hash-tags.ts'
import { testFault } from '../support/fault.ts'
import { expectLogoutsToHold } from '../support/leaving.ts'
import { startOverCluster, type OverCluster } from '../support/over-cluster.ts'
import { signIn } from '../support/people.ts'
import type { Node } from '../support/redis-group.ts'
import { redisServer } from '../support/redis-process.ts'
import { expectNeverAccepted, keepAsking, logOutFor } from '../support/replicas.ts'
import { get, logOut, outcome } from '../support/requests.ts'
import { until } from '../support/wait.ts'
import { topologyRows } from './rows/topologies.ts'

const skip = redisServer === undefined ? 'servers in containers cannot reach each other here' : false

t.test('the tags have the slots that they are said to have, one in each sixteenth', { skip }, async t => {
  const { owner } = await startOverCluster(t)
  t.equal(hashTags.length, 16)
  for (const [sixteenth, { tag, slot }] of hashTags.entries()) {
    t.equal(await owner.admin.cluster('KEYSLOT', `a prefix:{${tag}}:and more`), slot)
    t.equal(Math.floor(slot / 1_024), sixteenth)
  }
})

testFault(t, topologyRows.slotsMoved, async t => {
  const replicas = await startOverCluster(t)
  const { a, cluster, leaving, slot, owner, other, others, username } = replicas
  await logOutFor(t, a, leaving)
  await expectLogoutsToHold(t, replicas, [username, ...others], () =>
    expectNeverAccepted(t, replicas, leaving, async () => {
      await cluster.beginMove(slot, owner, other)
      t.equal(await cluster.moveKeys(slot, owner, other, 1), 1)
      await new Promise(resolve => setTimeout(resolve, 500))
      await cluster.moveKeys(slot, owner, other)
      await cluster.endMove(slot, owner, other)
    })
  )
  t.equal(await cluster.ownerOf(slot), other)
  await t.test('and slots of others, one after another, while everybody comes and goes', async t => {
    const { said, stop } = keepAsking(replicas.apps, leaving)
    await expectLogoutsToHold(t, replicas, [username, ...others], async () => {
      for (const { slot } of hashTags.slice(0, 6)) {
        const from = await cluster.ownerOf(slot)
        const to = from === other ? owner : other
        await cluster.beginMove(slot, from, to)
        await cluster.moveKeys(slot, from, to)
        await cluster.endMove(slot, from, to)
      }
    })
    await stop()
    for (const answers of said) t.notOk(answers.has('200'), [...answers].join())
  })
}, { skip })

async function markerKey (node: Node, slot: number): Promise<string> {
  const keys = await node.admin.call('CLUSTER', 'GETKEYSINSLOT', slot, 100) as string[]
  return keys.find(key => key.endsWith(':marker')) ?? ''
}

/**
 * Moves the entries of the token that was logged out to the other primary, leaves the marker behind, and waits until a
 * replica has removed it. From then on no replica trusts the shard, also one that has not asked meanwhile.
 */
async function tearApart ({ a, cluster, leaving, slot, owner, other }: OverCluster): Promise<void> {
  const { recordId, position } = await a.revocationRecord.readHead()
  await until(
    'the marker is past them',
    async () => await owner.admin.get(await markerKey(owner, slot)) === formatMarker({ recordId, position })
  )
  await cluster.beginMove(slot, owner, other)
  const keys = await owner.admin.call('CLUSTER', 'GETKEYSINSLOT', slot, 100) as string[]
  await owner.admin.call(
    'MIGRATE', '127.0.0.1', other.port, '', 0, 5_000, 'KEYS', ...keys.filter(key => !key.endsWith(':marker'))
  )
  await until('it is noticed', async () => outcome(await get(a, '/token', leaving)) === '503 revocation_unavailable')
  await until('the marker is removed', async () => await markerKey(owner, slot) === '')
}

testFault(t, topologyRows.moveBrokenOff, async t => {
  const replicas = await startOverCluster(t)
  const { a, leaving, slot, owner, other } = replicas
  await logOutFor(t, a, leaving)
  await expectNeverAccepted(t, replicas, leaving, async () => {
    await tearApart(replicas)
    await owner.admin.call('CLUSTER', 'SETSLOT', slot, 'STABLE')
    await other.admin.call('CLUSTER', 'SETSLOT', slot, 'STABLE')
  })
}, { skip })

testFault(t, topologyRows.primaryDiesInMove, async t => {
  const replicas = await startOverCluster(t)
  const { a, leaving, owner, cluster, slot, username } = replicas
  const replica = await cluster.replicaOf(owner)
  await logOutFor(t, a, leaving)
  await expectNeverAccepted(t, replicas, leaving, async () => {
    await tearApart(replicas)
    await until(
      'the replica of Redis has lost the entries too',
      async () => (await replica.admin.call('CLUSTER', 'GETKEYSINSLOT', slot, 10) as string[]).length <= 1
    )
    await owner.kill()
    await until('another one has the slot', async () => await cluster.ownerOf(slot) !== owner, 40_000)
  }, 40_000)
  await until('a logout succeeds', async () => {
    const { access_token: token } = await signIn(a, username)
    return (await logOut(a, token)).statusCode === 200
  })
}, { skip })
