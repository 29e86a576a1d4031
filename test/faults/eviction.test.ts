import t from 'tap'
import { outcome } from '../support/device.ts'
import { get } from '../support/people.ts'
import { logOutFor, startReplicas, untilAccepted } from '../support/replicas.ts'
import { until } from '../support/wait.ts'

t.test('P2: eviction that is switched on while the service runs is noticed, nothing is trusted then, and everything is made again once it is off', async t => {
  const { a, apps, env, redis, log, good, leaving } = await startReplicas(t)
  await logOutFor(t, a, leaving)
  const prefix = String(env['BLOCKLIST_PREFIX'])
  await redis.admin.config('SET', 'maxmemory-policy', 'volatile-ttl')
  for (const app of apps) await until('it is noticed', async () => (await get(app, '/token', good)).statusCode === 503, 12_000)
  t.ok(log.some(line => line.includes('Set maxmemory-policy noeviction there.') && (JSON.parse(line) as { level: number }).level === 50))
  t.match((await get(a, '/health/ready')).json().description, 'blocklist')
  // What was dropped meanwhile.
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
    }, 13_000)
  }
  await untilAccepted(apps, good)
  t.equal(accepted, 0)
  for (const app of apps) t.equal(outcome(await get(app, '/token', leaving)), '401 token_revoked')
  t.equal((await redis.admin.keys(`${prefix}sid:*`)).length, 1, 'what had been dropped is there again')
})
