import { Redis } from 'ioredis'
import t from 'tap'
import { build, serversEnv } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { get, logOut, signIn, signUp } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { until } from '../support/wait.ts'

testFault(t, {
  promise: 'P2',
  fault: 'Redis forgets everything: FLUSHALL, a restart without data',
  get: '503 `revocation_unavailable` until everything was written again from the record',
  within: 'at once',
  never: '200 for what was logged out',
  recovers: 'by itself, within seconds'
}, async t => {
  const redis = await ownRedis(t)
  const env = { ...await serversEnv(t), REDIS_URL: redis.url, RATE_LIMITS: 'off' }
  const a = await build(t, env)
  const b = await build(t, env)
  const ada = await signUp(a, 'ada')
  const other = await signIn(a, 'ada')
  t.equal((await get(b, '/token', ada.token)).statusCode, 200)
  t.equal((await logOut(a, ada.token)).statusCode, 200)
  t.equal((await get(b, '/token', ada.token)).statusCode, 401)

  for (const [name, forget] of [
    ['FLUSHALL', async () => { const admin = new Redis(redis.url); await admin.flushall(); admin.disconnect() }],
    ['a restart without data', async () => { await redis.kill(); await redis.start() }]
  ] as const) {
    await forget()
    const statuses = new Set<number>()
    await until(`it is known again after ${name}`, async () => {
      for (const app of [a, b]) statuses.add((await get(app, '/token', ada.token)).statusCode)
      return (await get(a, '/token', other)).statusCode === 200 && (await get(b, '/token', other)).statusCode === 200
    })
    t.notOk(statuses.has(200), `${name}: ${[...statuses].join(', ')}`)
    for (const app of [a, b]) t.equal((await get(app, '/token', ada.token)).statusCode, 401)
  }
})
