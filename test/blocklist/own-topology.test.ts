import { Cluster, Redis } from 'ioredis'
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis-5'
import t, { type Test } from 'tap'
import { createRedisBlocklist } from '../../plugins/auth/auth.ts'
import type { IoredisClient } from '../../src/redis/public-client.ts'
import type { RedisBlocklist } from '../../src/revocation/redis-blocklist.ts'
import { startCluster } from '../support/redis-cluster.ts'
import { startSentinelGroup } from '../support/redis-group.ts'
import { redisServer } from '../support/redis-process.ts'
import { nowSeconds } from '../support/tokens.ts'
import { until } from '../support/wait.ts'

const skip = redisServer === undefined
const leewaySeconds = 0
const claims = (jti: string, sub: string) => ({ jti, sub, sid: `s-${sub}`, iat: nowSeconds() })
const subjects = Array.from({ length: 40 }, (_, index) => `user-${index}`)

interface Client extends IoredisClient {
  disconnect (): void
  on (event: 'error', listener: () => void): unknown
}

async function open (t: Test, redis: Client): Promise<RedisBlocklist> {
  redis.on('error', () => { /* A server is down. */ })
  t.teardown(() => { redis.disconnect() })
  const blocklist = createRedisBlocklist({
    redis, prefix: 'own:', leewaySeconds, deadlineMs: 2_000, maxTokenLifetimeSeconds: 900
  })
  t.teardown(() => blocklist.close())
  await until('it is ready', () => blocklist.ready().then(() => true, () => false), 20_000)
  return blocklist
}

/** Returns what a blocklist says about a token, and undefined while it cannot tell. */
async function ask (blocklist: RedisBlocklist, token: ReturnType<typeof claims>): Promise<boolean | undefined> {
  return await Promise.resolve(blocklist.isRevoked(token)).catch(() => undefined)
}

t.test('a Sentinel client is accepted, and after a failover no revoked token is let in (P2)', { skip }, async t => {
  const group = await startSentinelGroup(t)
  const sentinels = group.sentinels.map(({ port }) => ({ host: '127.0.0.1', port }))
  const options = { sentinels, name: group.masterName }
  const [a, b] = [await open(t, new Redis(options)), await open(t, new Redis5(options))] as const
  const revoked = claims('revoked', 'ada')
  await a.revoke([{ scope: 'token', id: 'revoked', expiresAt: nowSeconds() + 600 }])
  t.same([await ask(a, revoked), await ask(b, revoked)], [true, true])
  const primary = await group.primary()
  await primary.kill()
  const answers = new Set<unknown>()
  // Connections may be closed once more, when a sentinel tells of the new primary.
  await until('both accept a token that is issued now', async () => {
    for (const blocklist of [a, b]) answers.add(await ask(blocklist, revoked))
    const isReady = await Promise.all([a.ready(), b.ready()]).then(() => true, () => false)
    const fresh = claims('fresh', 'ada')
    return isReady && await ask(a, fresh) === false && await ask(b, fresh) === false
  }, 30_000)
  await until('both refuse the revoked one', async () => {
    const now = [await ask(a, revoked), await ask(b, revoked)]
    for (const answer of now) answers.add(answer)
    return now.every(answer => answer === true)
  })
  t.notOk(answers.has(false), [...answers].join())
})

t.test('a Cluster client is accepted: tokens, sessions, subjects and everyone are revoked (P1)', { skip }, async t => {
  const cluster = await startCluster(t)
  const nodes = cluster.nodes.slice(0, 2).map(({ port }) => ({ host: '127.0.0.1', port }))
  const addresses = nodes.map(({ port }) => `redis://127.0.0.1:${port}`)
  const [a, b] = [await open(t, new Cluster(nodes)), await open(t, new Cluster5(addresses))] as const
  const each = async (blocklist: RedisBlocklist) =>
    new Set(await Promise.all(subjects.map(sub => ask(blocklist, claims(`t-${sub}`, sub)))))
  t.same([...await each(a), ...await each(b)], [false, false])
  await a.revoke([{ scope: 'token', id: 't-user-1', expiresAt: nowSeconds() + 600 }])
  await a.revoke([{ scope: 'session', id: 's-user-2', expiresAt: nowSeconds() + 600, subject: 'user-2' }])
  const answers = [1, 2, 3].map(index => ask(b, claims(`t-user-${index}`, `user-${index}`)))
  t.same(await Promise.all(answers), [true, true, false])
  t.equal(await b.isRevoked({ jti: 't-user-1', iat: nowSeconds() }), true, 'also a token without a subject')
  await a.revokeSubject?.('user-3')
  const early = claims('t-user-3', 'user-3')
  t.same([await ask(b, early), await ask(b, claims('t-user-4', 'user-4'))], [true, false])
  await b.ready('user-3')
  t.equal(await ask(b, claims('later', 'user-3')), false)
  const before = subjects.map(sub => claims(`e-${sub}`, sub))
  await a.revokeEveryone?.()
  t.same(new Set(await Promise.all(before.map(token => ask(b, token)))), new Set([true]))
  await b.ready()
  t.same(await Promise.all(subjects.map(sub => ask(b, claims(`f-${sub}`, sub)))), subjects.map(sub => sub === 'user-2'))
})

t.test('a slot that is moved between servers of a cluster, or back, lets no revoked token in (P2)', { skip }, async t => {
  const cluster = await startCluster(t)
  const blocklist = await open(t, new Cluster([{ host: '127.0.0.1', port: cluster.nodes[0]?.port ?? 0 }]))
  const slot = 511
  const from = await cluster.ownerOf(slot)
  const to = cluster.nodes.slice(0, 3).find(node => node !== from)
  if (to === undefined) throw new Error('There is no other node.')
  // A subject of the first shard, whose tag u0 has that slot.
  const { shardOf } = await import('../../src/redis/cluster/hash-tags.ts')
  const sub = subjects.find(subject => shardOf(subject, 16) === 0) ?? ''
  const revoked = claims('revoked', sub)
  await blocklist.revoke([{ scope: 'token', id: 'revoked', expiresAt: nowSeconds() + 600, subject: sub }])
  t.equal(await ask(blocklist, revoked), true)
  await cluster.beginMove(slot, from, to)
  // The move takes the entry along and is broken off: the cut-off stays, and the entry is missing.
  await from.admin.call('MIGRATE', '127.0.0.1', to.port, 'own:{u0}:jti:revoked', 0, 5_000)
  t.equal(await ask(blocklist, revoked), undefined)
  await from.admin.call('CLUSTER', 'SETSLOT', slot, 'STABLE')
  await to.admin.call('CLUSTER', 'SETSLOT', slot, 'STABLE')
  const answers = new Set<unknown>()
  await until('it answers again', async () => {
    const answer = await ask(blocklist, revoked)
    answers.add(answer)
    return answer !== undefined
  })
  t.notOk(answers.has(false), 'the cut-off has moved')
})
