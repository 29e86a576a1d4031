import { Redis } from 'ioredis'
import t from 'tap'
import { cutOffKey, expectRecovery, onRedis, startPluginReplica } from '../support/cut-off.ts'
import { testFault } from '../support/fault.ts'
import { proxyTo } from '../support/proxy.ts'
import { canReplicate, evictWhatEnds, ownRedis } from '../support/redis-server.ts'
import { breathe, until } from '../support/wait.ts'
import { serviceRows } from './rows/service.ts'

/** These tests use the plugin alone, without a record. Revocations that Redis loses cannot be rebuilt (P2). */

testFault(t, serviceRows.pluginRedisEmptied, async t => {
  const server = await ownRedis(t)
  const replicas = [await startPluginReplica(t, server.url), await startPluginReplica(t, server.url)] as const
  const [a, b] = replicas
  const [revoked, kept] = [await a.issue(), await a.issue()]
  await a.revoke(revoked)
  t.same(
    await Promise.all([a.statusOf(revoked), b.statusOf(revoked), a.statusOf(kept), b.statusOf(kept)]),
    [401, 401, 200, 200]
  )
  for (const empty of [
    () => onRedis(server.url, redis => redis.flushall()),
    async () => { await server.kill(); await server.start() }
  ]) {
    await empty()
    await expectRecovery(t, [...replicas], revoked)
    t.same(
      await Promise.all([a.statusOf(kept), b.statusOf(kept)]), [401, 401], 'whoever was signed in has to sign in again'
    )
  }
})

testFault(t, serviceRows.pluginOldSnapshot, async t => {
  const server = await ownRedis(t)
  const a = await startPluginReplica(t, server.url)
  const revoked = await a.issue()
  t.equal(await a.statusOf(revoked), 200)
  const snapshot = await server.snapshot()
  await a.revoke(revoked)
  t.equal(await a.statusOf(revoked), 401)
  await server.kill()
  await server.start(snapshot)
  t.equal(await onRedis(server.url, redis => redis.exists(cutOffKey)), 1, 'the snapshot has a cut-off')
  await expectRecovery(t, [a], revoked)

  await t.test('a replica that starts after the loss refuses the revoked token too', async t => {
    const before = await a.issue()
    const snapshot = await server.snapshot()
    await a.revoke(before)
    await server.kill()
    await server.start(snapshot)
    await expectRecovery(t, [await startPluginReplica(t, server.url)], before)
  })
})

testFault(t, serviceRows.pluginLaggingFailover, async t => {
  const [primary, copy] = [await ownRedis(t), await ownRedis(t)]
  const link = await proxyTo(t, '127.0.0.1', primary.port)
  const admin = new Redis(copy.url)
  t.teardown(() => { admin.disconnect() })
  await admin.replicaof('127.0.0.1', link.port)
  await until('the copy is in step', async () => /master_link_status:up/.test(await admin.info('replication')))

  const front = await proxyTo(t, '127.0.0.1', primary.port)
  const a = await startPluginReplica(t, `redis://127.0.0.1:${front.port}`)
  const revoked = await a.issue()
  t.equal(await a.statusOf(revoked), 200)
  await until('the copy has the cut-off', async () => await admin.exists(cutOffKey) === 1)
  link.stall()
  await a.revoke(revoked)
  t.equal(await a.statusOf(revoked), 401)
  await primary.kill()

  await t.test('while it is no primary yet, nothing is accepted', async t => {
    front.lead(copy.port)
    const statuses = new Set<number>()
    const giveUpAt = performance.now() + 500
    do {
      statuses.add(await a.statusOf(revoked))
      await breathe()
    } while (performance.now() < giveUpAt)
    t.same([...statuses], [503])
  })
  await admin.replicaof('NO', 'ONE')
  t.equal(await admin.dbsize(), 1, 'the copy has the cut-off, and not the revocation')
  await expectRecovery(t, [a], revoked)
}, { skip: !canReplicate })

testFault(t, serviceRows.pluginConnectionsLost, async t => {
  const server = await ownRedis(t)
  const proxy = await proxyTo(t, '127.0.0.1', server.port)
  const a = await startPluginReplica(t, `redis://127.0.0.1:${proxy.port}`)
  const [revoked, kept] = [await a.issue(), await a.issue()]
  await a.revoke(revoked)
  const cutOff = await onRedis(server.url, redis => redis.get(cutOffKey))
  for (let round = 0; round < 3; round++) {
    proxy.lead(server.port)
    const statuses = new Set<number>()
    await until('it is back', async () => {
      t.not(await a.statusOf(revoked), 200)
      statuses.add(await a.statusOf(kept))
      return statuses.has(200)
    })
    t.notOk(statuses.has(401), [...statuses].join(', '))
  }
  t.equal(await onRedis(server.url, redis => redis.get(cutOffKey)), cutOff)
  t.equal(a.cutOffs.length, 1)
})

t.test('replicas that find the same thing wrong at once set one cut-off', async t => {
  const server = await ownRedis(t)
  const replicas = await Promise.all(Array.from({ length: 5 }, () => startPluginReplica(t, server.url)))
  await Promise.all(replicas.map(({ blocklist }) => blocklist.ready()))
  for (const lose of [
    () => onRedis(server.url, redis => redis.flushall()),
    async () => { await server.kill(); await server.start() }
  ]) {
    await lose()
    await Promise.all(replicas.map(({ issue }) => issue()))
    const [, cutOff] = (await onRedis(server.url, redis => redis.get(cutOffKey)) ?? '').split(':')
    t.same(replicas.map(({ cutOffs }) => cutOffs.at(-1)), replicas.map(() => Number(cutOff)))
  }
  t.same(replicas.map(({ cutOffs }) => cutOffs.length), replicas.map(() => 3))
})

testFault(t, serviceRows.pluginEviction, async t => {
  const server = await ownRedis(t)
  const replicas = [await startPluginReplica(t, server.url), await startPluginReplica(t, server.url)] as const
  const [a, b] = replicas
  const revoked = await Promise.all(Array.from({ length: 100 }, () => a.issue()))
  await Promise.all(revoked.map(token => a.revoke(token)))
  await evictWhatEnds(server)
  t.equal(await server.admin.dbsize(), 1, 'only the cut-off is left')
  await until('both replicas refuse', async () =>
    (await Promise.all([a, b].map(({ statusOf }) => statusOf(String(revoked[0]))))).every(status => status === 503)
  , 10_000)
  await server.admin.config('SET', 'maxmemory-policy', 'noeviction')
  await expectRecovery(t, [...replicas], String(revoked[0]))
  const statuses = await Promise.all(revoked.flatMap(token => [a.statusOf(token), b.statusOf(token)]))
  t.same([...new Set(statuses)], [401])
})
