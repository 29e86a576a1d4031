import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { openRedis } from '../../../src/redis/open-redis.ts'
import { createBlocklistEvents } from '../../../src/events/blocklist-events.ts'
import { formatMarker, newDraft } from '../../../src/record/marker.ts'
import { createShards, type Shards } from '../../../src/blocklist/shards.ts'
import type { Blocklist } from '../../../src/revocation/blocklist.ts'
import { testRevocationsOfAll, testBlocklist, type BlocklistUnderTest } from '../../revocation/blocklist.contract.ts'
import { startCluster, type RedisCluster } from '../../support/redis-cluster.ts'
import { infoOf } from '../../support/redis-group.ts'
import { redisServer } from '../../support/redis-process.ts'
import { randomName } from '../../support/services.ts'
import { nowSeconds } from '../../support/tokens.ts'
import { endingAt } from '../../support/record.ts'
import { until } from '../../support/wait.ts'

const leewaySeconds = 2
const head = { recordId: randomUUID(), position: 0, marked: 0 }

interface Opened extends BlocklistUnderTest {
  shards: Shards
  prefix: string
}

/** A blocklist in a cluster, with an empty record. */
async function open (t: Test, cluster: RedisCluster): Promise<Opened> {
  const prefix = `${randomName()}:`
  const [first] = cluster.nodes
  const redis = openRedis({
    kind: 'cluster',
    nodes: [{ host: '127.0.0.1', port: Number(first?.port) }],
    user: {},
    tls: false
  })
  t.teardown(() => { redis.close() })
  const connections = await redis.connect({ deadlineMs: 2_000 })
  const record = endingAt(async () => head)
  const events = createBlocklistEvents()
  const shards = createShards({
    connections, projectorConnections: connections, prefix, leewaySeconds, record, events
  })
  t.teardown(() => { shards.stop() })
  for (const { projection } of shards.projections) {
    await projection.advance(await projection.begin(head.recordId, newDraft(head.recordId)), formatMarker(head), [])
  }
  shards.start()
  await until('it is trusted', () => shards.blocklist.ping().then(() => true, () => false))
  const entries = async () => (await cluster.keys(`${prefix}*`)).filter(key => !/:(marker|note)$/.test(key))
  return {
    blocklist: shards.blocklist,
    shards,
    prefix,
    countEntries: async () => new Set((await entries()).map(key => key.replace(/\{..\}/, ''))).size,
    async findEnd (name) {
      const ends = new Set<number>()
      for (const key of await entries()) {
        if (key.endsWith(`}:${name}`)) {
          for (const { admin } of cluster.nodes.slice(0, 3)) ends.add(await admin.pexpiretime(key).catch(() => 0))
        }
      }
      ends.delete(0)
      return ends.size === 1 ? [...ends][0] : undefined
    }
  }
}

const skip = redisServer === undefined ? 'servers in containers cannot reach each other here' : false

t.test('the blocklist in a Redis cluster keeps the contract of a blocklist', { skip }, async t => {
  const cluster = await startCluster(t)
  await testBlocklist(t, leewaySeconds, t => open(t, cluster))
  await testRevocationsOfAll(t, t => open(t, cluster))

  await t.test('a revocation goes to the hash tag of its subject, or to every tag if its subject is unknown', async t => {
    const { blocklist, prefix } = await open(t, cluster)
    const expiresAt = nowSeconds() + 60
    await blocklist.revoke([
      { scope: 'token', id: 'hers', subject: 'ada', expiresAt },
      { scope: 'token', id: 'somebodys', expiresAt }
    ])
    const keys = await cluster.keys(`${prefix}*`)
    t.equal(keys.filter(key => key.endsWith('}:jti:hers')).length, 1)
    t.equal(new Set(keys.filter(key => key.endsWith('}:jti:somebodys'))).size, 16)
    t.equal(await blocklist.isRevoked({ jti: 'hers', sub: 'ada' }), true)
    t.equal(await blocklist.isRevoked({ jti: 'hers' }), true, 'it is found without a subject too')
    for (let number = 0; number < 50; number++) {
      t.equal(await blocklist.isRevoked({ jti: 'somebodys', sub: `user ${number}` }), true)
    }
  })

  await t.test('look-ups of one turn are one MGET for each hash tag, and one packet for each node (P7)', async t => {
    const { blocklist } = await open(t, cluster)
    const turns = 20
    const before = await countReads(cluster)
    for (let turn = 0; turn < turns; turn++) await lookUp(blocklist, 400)
    const after = await countReads(cluster)
    t.equal(after.mgets - before.mgets, 16 * turns, `MGETs for ${turns} times 400 look-ups`)
    // A packet for each MGET would be five in each turn. The commands of this test are counted too, and so are the
    // acknowledgements of Redis replicas and the slot map.
    for (const [node, reads] of after.packets.entries()) {
      const packets = reads - Number(before.packets[node])
      t.ok(packets >= turns && packets <= turns + 10, `${packets} packets in ${turns} turns`)
    }
  })
})

/** Returns the packets that each primary has read, and the MGETs of all of them. */
async function countReads ({ nodes }: RedisCluster): Promise<{ packets: number[], mgets: number }> {
  const packets: number[] = []
  let mgets = 0
  for (const node of nodes.slice(0, 3)) {
    packets.push(Number(await infoOf(node, 'total_reads_processed')))
    mgets += Number(/cmdstat_mget:calls=(\d+)/.exec(await node.admin.info('commandstats'))?.[1] ?? 0)
  }
  return { packets, mgets }
}

async function lookUp (blocklist: Blocklist, count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, number) =>
      blocklist.isRevoked({ jti: `t${number}`, sid: `s${number}`, sub: `user ${number}` })
    )
  )
}
