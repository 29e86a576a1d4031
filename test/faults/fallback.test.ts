import t from 'tap'
import { testFault } from '../support/fault.ts'
import { signIn } from '../support/people.ts'
import { expectNeverAccepted, logOutFor, proxied, startReplicas, untilAccepted } from '../support/replicas.ts'
import { fillRecord } from '../support/record.ts'
import { ownRedis } from '../support/redis-server.ts'
import { until } from '../support/wait.ts'
import { redisRows } from './rows/redis.ts'
import { topologyRows } from './rows/topologies.ts'

testFault(t, redisRows.oldSnapshot, async t => {
  const replicas = await startReplicas(t)
  const { a, redis, leaving, username } = replicas
  await logOutFor(t, a, (await signIn(a, username)).access_token)
  const old = await redis.snapshot()
  await logOutFor(t, a, leaving)
  await expectNeverAccepted(t, replicas, leaving, async () => {
    await redis.kill()
    await redis.start(old)
  })
})

testFault(t, topologyRows.laggingFailover, async t => {
  const [primary, lagging] = [await ownRedis(t), await ownRedis(t)]
  const { proxy, env } = await proxied(t, { REDIS_URL: primary.url }, 'REDIS_URL')
  const replicas = await startReplicas(t, env)
  const { a, leaving, username } = replicas
  const { host, port } = primary.peer()
  await lagging.admin.replicaof(host, port)
  await logOutFor(t, a, (await signIn(a, username)).access_token)
  await until('it follows', async () => (await lagging.admin.dbsize()) === (await primary.admin.dbsize()))
  await lagging.admin.replicaof('no', 'one')
  await logOutFor(t, a, leaving)
  t.ok(await lagging.admin.dbsize() < await primary.admin.dbsize(), 'it lags')
  await expectNeverAccepted(t, replicas, leaving, async () => { proxy.lead(lagging.port) })
})

testFault(t, redisRows.emptyAtSameAddress, async t => {
  const [first, second] = [await ownRedis(t), await ownRedis(t)]
  const { proxy, env } = await proxied(t, { REDIS_URL: first.url }, 'REDIS_URL')
  const replicas = await startReplicas(t, env)
  await logOutFor(t, replicas.a, replicas.leaving)
  await expectNeverAccepted(t, replicas, replicas.leaving, async () => { proxy.lead(second.port) })
  t.ok(await second.admin.dbsize() > 0)
  await t.test('and neither does the first one, when it comes back without what was revoked meanwhile', async t => {
    const { access_token: later } = await signIn(replicas.a, replicas.username)
    await logOutFor(t, replicas.a, later)
    await expectNeverAccepted(t, replicas, later, async () => { proxy.lead(first.port) })
  })
})

t.test('a logout right after a FLUSHALL does not hide the logout before it (P2)', async t => {
  const replicas = await startReplicas(t)
  const { a, b, redis, leaving, username } = replicas
  const { access_token: second } = await signIn(a, username)
  await logOutFor(t, a, leaving)
  await expectNeverAccepted(t, replicas, leaving, async () => {
    await redis.admin.flushall()
    await logOutFor(t, b, second)
  })
  await expectNeverAccepted(t, replicas, second, async () => { await redis.admin.flushall() })
})

t.test('two FLUSHALLs, the second one during the rebuild, do not bring a revoked token back (P2)', async t => {
  const replicas = await startReplicas(t)
  const { a, apps, env, redis, good, leaving } = replicas
  await logOutFor(t, a, leaving)
  await fillRecord(env, 50_000)
  await untilAccepted(apps, good)
  let flushedAt = 0
  await expectNeverAccepted(t, replicas, leaving, async () => {
    await redis.admin.flushall()
    await until('the rebuild is under way', async () => {
      flushedAt = await redis.admin.dbsize()
      return flushedAt > 2_000
    })
    await redis.admin.flushall()
  })
  t.ok(flushedAt < 50_000, `it was flushed at ${flushedAt} entries`)
  t.ok(await redis.admin.dbsize() > 50_000, 'and everything is there in the end')
})
