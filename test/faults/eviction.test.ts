import t from 'tap'
import { outcome } from '../support/device.ts'
import { testFault } from '../support/fault.ts'
import { get } from '../support/people.ts'
import { logOutFor, startReplicas, untilAccepted } from '../support/replicas.ts'
import { until } from '../support/wait.ts'

testFault(t, {
  promise: 'P2',
  fault: 'Redis is told to evict keys (`maxmemory-policy`) while the service runs',
  get: '503 `revocation_unavailable` once that is noticed',
  within: 'it is noticed within 10 s',
  never: '200 for a token whose entry was dropped, once that is noticed',
  recovers: 'the blocklist is made again once eviction is off, which is noticed within 10 s too'
}, async t => {
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
