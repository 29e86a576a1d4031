import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import {
  createMemoryBlocklist, createPostgresRecord, createRedisBlocklist, createRedisConnection, type Blocklist,
  type PostgresRecord
} from '../../../plugins/auth/auth.ts'
import { openDatabase } from '../../blocklist/record-scene.ts'
import { createDraw } from '../../support/draw.ts'
import { keepLog } from '../../support/log.ts'
import { ownRedis } from '../../support/redis-server.ts'
import { randomName } from '../../support/services.ts'
import { nowSeconds } from '../../support/tokens.ts'
import { bareApp, sign, type BareApp } from './bare-app.ts'

const lifetime = 900
const leewaySeconds = 0.2
const settings = { leewaySeconds, deadlineMs: 5_000, maxTokenLifetimeSeconds: lifetime }
const expiresIn = lifetime
const { url } = await ownRedis(t)

async function redisBlocklist (
  t: Test, options: { prefix?: string, record?: PostgresRecord, leewaySeconds?: number } = {}
) {
  const redis = createRedisConnection(url)
  await redis.connect()
  const blocklist = createRedisBlocklist({ redis, prefix: `${randomName()}:`, ...settings, ...options })
  t.teardown(() => blocklist.close())
  // The first use sets a cut-off.
  await blocklist.ready()
  return blocklist
}

const blocklists: Record<string, (t: Test) => Promise<Blocklist>> = {
  memory: async () => createMemoryBlocklist(settings),
  Redis: t => redisBlocklist(t),
  'Redis with a record': async t =>
    await redisBlocklist(t, { record: createPostgresRecord((await openDatabase(t)).pool) })
}

// They wait for whole seconds, so they run at once.
t.test('cut-offs by the time of issue', { jobs: 3 }, async t => {
  for (const [name, make] of Object.entries(blocklists)) {
    const open = async (t: Test): Promise<BareApp> => bareApp(t, { blocklist: await make(t) })

    t.test(`app.revokeSubject refuses every token of a user that was issued before, in ${name} (P1)`, async t => {
      const { app, statusOf } = await open(t)
      const issue = (sub?: string) => app.issueToken({ ...sub !== undefined && { sub } }, { expiresIn })
      const [first, second] = [await issue('ada'), await issue('ada')]
      const [other, anonymous] = [await issue('grace'), await issue()]
      for (const token of [first, second, other, anonymous]) t.equal(await statusOf(token), 200)
      await app.revokeSubject('ada')
      const statuses = async () => Promise.all([first, second, other, anonymous].map(token => statusOf(token)))
      t.same(await statuses(), [401, 401, 200, 200])
      // At once, and so perhaps in the same second.
      const next = await issue('ada')
      t.equal(await statusOf(next), 200, 'a login afterwards works')
      t.same(await statuses(), [401, 401, 200, 200])
      await app.revokeSubject('ada')
      t.equal(await statusOf(next), 401)
    })

    t.test(`app.revokeEveryone refuses every token that was issued before, in ${name} (P1)`, async t => {
      const { app, statusOf } = await open(t)
      const tokens = [await app.issueToken({ sub: 'ada' }, { expiresIn }), await app.issueToken({}, { expiresIn })]
      for (const token of tokens) t.equal(await statusOf(token), 200)
      await app.revokeEveryone()
      for (const token of tokens) t.equal(await statusOf(token), 401)
      t.equal(await statusOf(await app.issueToken({ sub: 'ada' }, { expiresIn })), 200)
      for (const token of tokens) t.equal(await statusOf(token), 401)
    })

    t.test(`tokens that live too long, or do not say since when, are refused, in ${name}`, async t => {
      const { app, statusOf } = await open(t)
      await sleep(1_000 * (leewaySeconds + 1))
      const claims = { jti: 'j', sub: 'ada', iat: nowSeconds(), exp: nowSeconds() + lifetime }
      t.equal(await statusOf(sign(claims)), 200)
      t.equal(await statusOf(sign({ ...claims, exp: claims.exp + 1 })), 401)
      t.equal(await statusOf(sign({ ...claims, iat: undefined })), 401)
      for (const wrong of ['', 5, undefined, 'x'.repeat(256)]) {
        await t.rejects(app.revokeSubject(wrong as string), TypeError, String(wrong).slice(0, 10))
      }
      t.equal(await statusOf(sign({ ...claims, sub: 'x'.repeat(256) })), 200, 'a subject that cannot be revoked')
      await t.rejects(app.issueToken({ iat: 1 }), TypeError)
      await t.rejects(app.issueToken('ada' as never), TypeError)
    })
  }
})

t.test('another replica refuses the tokens at once, and an entry ends after its last token (P1, P6)', async t => {
  const prefix = `${randomName()}:`
  const [one, other] = [
    await bareApp(t, { blocklist: await redisBlocklist(t, { prefix }) }),
    await bareApp(t, { blocklist: await redisBlocklist(t, { prefix }) })
  ]
  const token = await one.app.issueToken({ sub: 'ada' }, { expiresIn })
  t.equal(await other.statusOf(token), 200)
  await one.app.revokeSubject('ada')
  t.equal(await other.statusOf(token), 401)
  const redis = new Redis(url)
  t.teardown(() => { redis.disconnect() })
  const [before, end] = [Number(await redis.get(`${prefix}sub:ada`)), await redis.expiretime(`${prefix}sub:ada`)]
  t.equal(end - before, lifetime + Math.ceil(3 * leewaySeconds))
  await redis.set(`${prefix}sub:ada`, 'nonsense')
  t.equal(await one.statusOf(token), 503, 'an entry that does not hold a number')
  await t.rejects(one.app.revokeSubject('ada'), { code: 'revocation_unavailable' })
})

t.test('no token of a clock within the leeway slips through, whenever it was issued', async t => {
  // More than a second: clocks that are ahead are then always in the next one.
  const widest = 1.2
  const draw = createDraw(1)
  await Promise.all((['revokeSubject', 'revokeEveryone'] as const).map(async revoke => {
    const blocklist = await redisBlocklist(t, { leewaySeconds: widest })
    const offsets = Array.from({ length: 200 }, () => (draw(2_001) - 1_000) / 1_000 * widest)
    const issued = offsets.map(offset => ({ jti: 'j', sub: 'ada', iat: Math.floor(Date.now() / 1_000 + offset) }))
    await blocklist[revoke]?.('ada')
    const answers = await Promise.all(issued.map(claims => blocklist.isRevoked(claims)))
    t.same(new Set(answers), new Set([true]), revoke)
    await blocklist.ready('ada')
    const now = Math.floor(Date.now() / 1_000)
    t.equal(await blocklist.isRevoked({ jti: 'j', sub: 'ada', iat: now }), false, `${revoke}: one of now is accepted`)
  }))
})

t.test('without maxTokenLifetimeSeconds nothing is claimed, and the log says why a token is refused', async t => {
  const { app } = await bareApp(t)
  for (const work of [() => app.revokeSubject('ada'), () => app.revokeEveryone()]) {
    await t.rejects(work(), { name: 'TypeError', message: /maxTokenLifetimeSeconds/ })
  }
  for (const wrong of [0, 1.5, NaN, '900', Infinity]) {
    const options = { maxTokenLifetimeSeconds: wrong as number }
    t.throws(() => createMemoryBlocklist(options), { name: 'TypeError', message: /maxTokenLifetimeSeconds/ })
  }
  const log = keepLog()
  const logged = await bareApp(t, { blocklist: createMemoryBlocklist(settings), logger: log.logger })
  const token = sign({ jti: 'j', exp: nowSeconds() + 60, iat: undefined })
  for (let use = 0; use < 3; use++) t.equal(await logged.statusOf(token), 401)
  const lines = log.lines().filter(({ msg }) => String(msg).startsWith('A token was refused.'))
  t.match(JSON.stringify(lines), 'The token has no iat')
  t.equal(lines.length, 1, 'once a minute')
})
