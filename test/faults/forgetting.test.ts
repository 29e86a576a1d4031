import { Redis } from 'ioredis'
import pg from 'pg'
import t from 'tap'
import { build, serversEnv, type Env } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { signIn, signUp } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { get, logOut, outcome } from '../support/requests.ts'
import { timed, until } from '../support/wait.ts'
import { redisRows } from './rows/redis.ts'

/** Below the deadline of the blocklist, so that no answer has waited for it. */
const promptMs = 4_000

testFault(t, redisRows.dataLost, async t => {
  const redis = await ownRedis(t)
  const env = { ...await serversEnv(t), REDIS_URL: redis.url, RATE_LIMITS: 'off' }
  const a = await build(t, env)
  const b = await build(t, env)
  const ada = await signUp(a, 'ada')
  const { access_token: other } = await signIn(a, 'ada')
  t.equal((await get(b, '/token', ada.token)).statusCode, 200)
  t.equal((await logOut(a, ada.token)).statusCode, 200)
  t.equal((await get(b, '/token', ada.token)).statusCode, 401)

  for (const [name, forget] of [
    ['FLUSHALL', async () => { const admin = new Redis(redis.url); await admin.flushall(); admin.disconnect() }],
    ['a restart without data', async () => { await redis.kill(); await redis.start() }]
  ] as const) {
    const statuses = new Set<number>()
    await withoutRebuild(env, async () => {
      await forget()
      for (const app of [a, b]) {
        const { value, elapsedMs } = await timed(() => get(app, '/token', other))
        t.equal(value && outcome(value), '503 revocation_unavailable', `a good token after ${name}`)
        t.ok(elapsedMs < promptMs, `${name}: within ${Math.round(elapsedMs)} ms`)
        statuses.add((await get(app, '/token', ada.token)).statusCode)
      }
    })
    await until(`it is known again after ${name}`, async () => {
      for (const app of [a, b]) statuses.add((await get(app, '/token', ada.token)).statusCode)
      return (await get(a, '/token', other)).statusCode === 200 && (await get(b, '/token', other)).statusCode === 200
    })
    t.notOk(statuses.has(200), `${name}: ${[...statuses].join(', ')}`)
    for (const app of [a, b]) t.equal((await get(app, '/token', ada.token)).statusCode, 401)
  }
})

/**
 * Runs the work while no rebuild can end. After a rebuild has put its draft marker into Redis, it reads the head of the
 * record from the table that is locked here. Redis refuses a rebuild that began before the data, and the draft marker
 * with it, were lost.
 */
async function withoutRebuild (env: Env, work: () => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: env['DATABASE_URL'] })
  await client.connect()
  try {
    await client.query('begin')
    await client.query('lock table records')
    await work()
  } finally {
    await client.end()
  }
}
