import t from 'tap'
import { createCutOffTrust } from '../../src/trust/by-cut-off.ts'
import { createRedisConnection } from '../../src/redis/connection.ts'
import { linkTo } from '../../src/redis/link.ts'
import { expectRecovery, startPluginReplica } from '../support/cut-off.ts'
import { evictWhatEnds, ownRedis } from '../support/redis-server.ts'

/** These tests use the plugin alone, without a record. A Redis that evicts keys evicts revocations (P2). */

const policyIs = (policy: string) => new RegExp(`maxmemory-policy is ${policy}.*Set maxmemory-policy noeviction`)
const refusal = (message: RegExp) => ({ code: 'revocation_unavailable', cause: { message } })

t.test('ready() rejects on a Redis that may evict keys, with the policy and the cure (P2)', async t => {
  const server = await ownRedis(t)
  for (const policy of ['volatile-lru', 'volatile-ttl', 'allkeys-lru', 'allkeys-random']) {
    await server.admin.config('SET', 'maxmemory-policy', policy)
    const a = await startPluginReplica(t, server.url)
    await t.rejects(a.blocklist.ready(), refusal(policyIs(policy)))
    t.equal(await a.statusOf(a.app.jwt.sign({ jti: 'any' })), 503, policy)
    await server.admin.config('SET', 'maxmemory-policy', 'noeviction')
    t.equal(await a.statusOf(await a.issue()), 200, 'and goes on once it is put right')
  }
})

t.test('keys that were evicted while no replica ran move the cut-off when one starts (P2)', async t => {
  const server = await ownRedis(t)
  const a = await startPluginReplica(t, server.url)
  const revoked = await a.issue()
  await a.revoke(revoked)
  await a.blocklist.close()
  await evictWhatEnds(server)
  await server.admin.config('SET', 'maxmemory-policy', 'noeviction')
  const b = await startPluginReplica(t, server.url)
  await expectRecovery(t, [b], revoked)
  const kept = await b.issue()
  const c = await startPluginReplica(t, server.url)
  t.equal(await c.statusOf(kept), 200, 'once for each eviction, and not for each replica')
})

t.test('a look-up counts by a comparison of the last five seconds, and by no older one (P2)', async t => {
  const { url, admin } = await ownRedis(t)
  const redis = createRedisConnection(url, { deadlineMs: 2_000 })
  t.teardown(() => { redis.disconnect() })
  await redis.connect()
  let nowMs = 0
  const trust = createCutOffTrust({ link: linkTo(redis), prefix: 'p:', leewaySeconds: 0, now: () => nowMs })
  t.same(await trust.read(['a']), [null])
  const calls = async () => /cmdstat_evalsha:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1]
  const before = await calls()
  await admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
  nowMs = 4_999
  t.same(await trust.read(['a']), [null])
  t.equal(await calls(), before, 'the check costs nothing in between')
  nowMs = 5_000
  await t.rejects(trust.read(['a']), { name: 'UntrustedError', message: policyIs('allkeys-lru') })
  await admin.config('SET', 'maxmemory-policy', 'noeviction')
  t.same(await trust.read(['a']), [null], 'the next look-up finds out that it was put right')
})

t.test('look-ups that are under way during a comparison that finds no fault count', async t => {
  const { url } = await ownRedis(t)
  const redis = createRedisConnection(url, { deadlineMs: 2_000 })
  t.teardown(() => { redis.disconnect() })
  await redis.connect()
  let nowMs = 0
  const trust = createCutOffTrust({ link: linkTo(redis), prefix: 'p:', leewaySeconds: 0, now: () => nowMs })
  await trust.read([])
  const underWay = trust.read(['a'])
  nowMs = 6_000
  t.same(await Promise.all([underWay, trust.read(['b'])]), [[null], [null]])
})

t.test('a hidden policy needs an option that acknowledges it, and evicted keys still count (P2)', async t => {
  const server = await ownRedis(t)
  // A host that hides the policy answers INFO without it.
  const hiding = { noevictionAcknowledged: true }
  const redis = createRedisConnection(server.url, { deadlineMs: 2_000 })
  t.teardown(() => { redis.disconnect() })
  await redis.connect()
  const link = linkTo(redis)
  const hidden: typeof link = {
    ...link,
    isReady: false,
    run: async command => {
      const answer = await link.run(command)
      return (Array.isArray(answer) ? [answer[0], ''] : answer) as typeof answer
    }
  }
  const common = { link: hidden, prefix: 'p:', leewaySeconds: 0 }
  await t.rejects(createCutOffTrust(common).read([]), {
    message: /does not tell its maxmemory-policy\. .*set noevictionAcknowledged: true/
  })
  let nowMs = 0
  const trust = createCutOffTrust({ ...common, ...hiding, now: () => nowMs })
  await trust.read([])
  const now = Math.floor(Date.now() / 1000) + 10
  await server.admin.set('x', 1, 'EX', 100)
  t.equal(trust.refuses(now), false)
  const before = await server.admin.get('p:cut-off')
  await evictWhatEnds(server)
  nowMs = 5_000
  await trust.read([])
  t.not(await server.admin.get('p:cut-off'), before, 'the cut-off has moved')
  await t.rejects(createCutOffTrust({ ...common, ...hiding, link }).read([]), {
    message: policyIs('volatile-ttl')
  }, 'a policy that Redis does tell is not acknowledged')
})
