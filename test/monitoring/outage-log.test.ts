import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { DatabaseError } from '../../src/db/database-errors.ts'
import { createOutages } from '../../src/monitoring/outages.ts'
import { build, serversEnv } from '../support/app.ts'
import { keepLog } from '../support/log.ts'
import { signUp } from '../support/people.ts'
import { ownPostgres } from '../support/postgres-server.ts'
import { ownRedis } from '../support/redis-server.ts'
import { get, send } from '../support/requests.ts'
import { until } from '../support/wait.ts'

interface Scene { app: FastifyInstance, log: ReturnType<typeof keepLog>, token: string }

/** Returns the lines for operators: all but those of requests and of security events. */
const newsIn = ({ log }: Scene) => log.lines().filter(({ level, msg, event }) =>
  Number(level) >= 30 && msg !== 'Request' && event === undefined)

/** Sends one request of each kind, and returns how many got 503. */
async function ask ({ app, token }: Scene): Promise<number> {
  const body = { refresh_token: 'x'.repeat(43) }
  const answers = await Promise.all([
    get(app, '/token', token), get(app, '/me', token), send(app, 'POST /refresh', { body }), get(app, '/health/ready')
  ])
  return answers.filter(({ statusCode }) => statusCode === 503).length
}

/** Sends requests during an outage until it is over, and expects its two lines. */
async function expectTwoLines (t: Test, scene: Scene, fail: () => unknown, mend: () => unknown): Promise<void> {
  scene.log.clear()
  await fail()
  let refused = 0
  for (let turn = 0; turn < 10; turn++) {
    refused += await ask(scene)
    await setTimeout(100)
  }
  await mend()
  await until('the outage is over', async () => {
    refused += await ask(scene)
    return newsIn(scene).some(({ seconds }) => seconds !== undefined)
  }, 60_000)
  const [began, ended, ...others] = newsIn(scene)
  const name = t.name === 'redis' ? 'Redis' : 'Postgres'
  t.match(began, { level: 50, outage: t.name, reason: String, msg: new RegExp(`^${name} is unavailable\\. .* 503 `) })
  t.match(ended, { level: 30, outage: t.name, seconds: Number, requests: Number, msg: `${name} is back.` })
  const counted = Number(ended?.['requests'])
  t.ok(counted > 0 && counted <= refused, `${counted} of ${refused}`)
  t.same(others, [], 'nothing else is logged')
}

t.test('an outage of Redis or Postgres is one line when it begins, and one when it ends', async t => {
  const [redis, postgres, log] = [await ownRedis(t), await ownPostgres(t), keepLog()]
  const app = await build(t, {
    ...await serversEnv(t),
    REDIS_URL: redis.url,
    DATABASE_URL: postgres.url,
    BLOCKLIST_DEADLINE_MS: '2500',
    DATABASE_DEADLINE_MS: '2500'
  }, log.logger)
  const scene = { app, log, token: (await signUp(app)).token }
  await t.test('redis', t => expectTwoLines(t, scene, () => redis.stop(), () => redis.start()))
  await t.test('redis', t => expectTwoLines(t, scene, () => redis.pause(), () => redis.resume()))
  await t.test('postgres', t => expectTwoLines(t, scene, () => postgres.kill(), () => postgres.start()))
  await t.test('to close is no outage', async t => {
    t.equal((await get(app, '/token', scene.token)).statusCode, 200)
    log.clear()
    await app.close()
    await until('its connections are closed', async () =>
      String(await redis.admin.client('LIST')).trim().split('\n').length === 1)
    await redis.admin.ping()
    t.same(newsIn(scene), [])
  })
})

t.test('a deadlock, or a cause without a line of its own, is left to the line of the request', t => {
  const lines: object[] = []
  const outages = createOutages({ info: fields => { lines.push(fields) }, error: fields => { lines.push(fields) } })
  t.teardown(() => { outages.stop() })
  t.equal(outages.refused('database', new DatabaseError('40P01', undefined)), false)
  t.equal(outages.refused('other', new Error('unknown')), false)
  t.equal(outages.refused('clocks', new Error('logged by the blocklist')), true)
  t.same(lines, [])
  t.equal(outages.refused('password_queue', new Error('full')), true)
  t.equal(outages.refused('password_queue', new Error('full')), true)
  t.same(lines, [{ outage: 'passwords', reason: 'full' }], 'two requests, one line')
  t.end()
})
