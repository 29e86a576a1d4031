import t from 'tap'
import { loadConfig } from '../../src/config.ts'
import { build, buildUnready } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { evictWhatEnds } from '../support/redis-server.ts'
import { expectNeverAccepted, logOutFor, startReplicas, untilAccepted } from '../support/replicas.ts'
import { get, outcome } from '../support/requests.ts'
import { busyMs, until } from '../support/wait.ts'
import { redisRows } from './rows/redis.ts'

testFault(t, redisRows.evictionOn, async t => {
  const { a, apps, env, redis, log, good, leaving } = await startReplicas(t)
  await logOutFor(t, a, leaving)
  const prefix = String(env['BLOCKLIST_PREFIX'])
  await redis.admin.config('SET', 'maxmemory-policy', 'volatile-ttl')
  for (const app of apps) {
    await until('it is noticed', async () => (await get(app, '/token', good)).statusCode === 503, 12_000 + busyMs)
  }
  t.ok(
    log.some(line =>
      line.includes('Set maxmemory-policy noeviction there.') && (JSON.parse(line) as { level: number }).level === 50)
  )
  t.match((await get(a, '/health/ready')).json().description, 'blocklist')
  // Deletes the entries, as an eviction would.
  const entries = (await redis.admin.keys(`${prefix}?id:*`)).concat(await redis.admin.keys(`${prefix}jti:*`))
  t.ok(entries.length > 0)
  await redis.admin.del(entries)
  t.equal(outcome(await get(a, '/token', leaving)), '503 revocation_unavailable')
  await redis.admin.config('SET', 'maxmemory-policy', 'noeviction')
  let accepted = 0
  for (const app of apps) {
    await until('it is trusted again', async () => {
      if ((await get(app, '/token', leaving)).statusCode === 200) accepted++
      return (await get(app, '/token', good)).statusCode === 200
    }, 13_000 + busyMs)
  }
  await untilAccepted(apps, good)
  t.equal(accepted, 0)
  for (const app of apps) t.equal(outcome(await get(app, '/token', leaving)), '401 token_revoked')
  t.equal((await redis.admin.keys(`${prefix}sid:*`)).length, 1, 'what had been dropped is there again')
})

testFault(t, redisRows.evictionWithoutReplicas, async t => {
  const { a, apps, env, redis, good, leaving } = await startReplicas(t)
  await logOutFor(t, a, leaving)
  await until(
    'all of it is marked',
    async () => Number((await redis.admin.get(`${env['BLOCKLIST_PREFIX']}marker`))?.split(':').at(-1)) > 0
  )
  await Promise.all(apps.map(app => app.close()))
  await evictWhatEnds(redis)
  const refused = buildUnready(t, loadConfig(env))
  await t.rejects(
    async () => { await refused.ready() }, { name: 'StartupError' }
  )
  await redis.admin.config('SET', 'maxmemory-policy', 'noeviction')
  t.equal((await redis.admin.keys(`${env['BLOCKLIST_PREFIX']}sid:*`)).length, 0)
  const restarted = [await build(t, env), await build(t, env)]
  for (const app of restarted) t.not(outcome(await get(app, '/token', leaving)), '200')
  await untilAccepted(restarted, good)
  for (const app of restarted) t.equal(outcome(await get(app, '/token', leaving)), '401 token_revoked')
})

testFault(t, redisRows.evictionThenRestart, async t => {
  const replicas = await startReplicas(t)
  const { a, env, redis, leaving } = replicas
  await logOutFor(t, a, leaving)
  const marker = `${env['BLOCKLIST_PREFIX']}marker`
  await until('all of it is marked', async () => Number((await redis.admin.get(marker))?.split(':').at(-1)) > 0)
  const left = await redis.snapshot((await redis.admin.keys(`${env['BLOCKLIST_PREFIX']}sid:*`)))
  await redis.kill()
  await expectNeverAccepted(t, replicas, leaving, () => redis.start(left))
})
