import type { FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { build, serversEnv, type Env } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { password, signUp } from '../support/people.ts'
import { ownRedis, type OwnRedis } from '../support/redis-server.ts'
import { send } from '../support/requests.ts'
import { randomName } from '../support/services.ts'
import { timed, until } from '../support/wait.ts'
import { redisRows } from './rows/redis.ts'

/** A busy machine does not miss it. */
const deadlineMs = 2_500
/** Far above the deadline plus the hash of a password. Far below the waits that a missing option would cause. */
const tooLateMs = 8_000
/** Settings for tests in which Redis only has to stall. */
const impatience: Env = { BLOCKLIST_DEADLINE_MS: '200' }
const limits = { LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '3/900', LIMIT_REGISTER_BY_IP: '1000/900' }
const lost = 'The limits have lost their connection to Redis.'
const back = 'The limits have their connection to Redis back.'

interface Watched {
  app: FastifyInstance
  server: OwnRedis
  /** Returns the number of log lines that contain a text. */
  count: (text: string) => number
}

async function watchedApp (t: Test, settings: Env = {}): Promise<Watched> {
  const server = await ownRedis(t)
  const lines: string[] = []
  const env = {
    ...await serversEnv(t),
    REDIS_URL: server.url,
    BLOCKLIST_DEADLINE_MS: String(deadlineMs),
    ...limits,
    ...settings
  }
  const app = await build(t, env, { level: 'debug', stream: { write: line => { lines.push(line) } } })
  return { app, server, count: text => lines.filter(line => line.includes(text)).length }
}

async function guess (app: FastifyInstance, username: string): Promise<number> {
  return (await send(app, 'POST /login', { body: { username, password: 'a wrong password' } }))
    .statusCode
}

async function register (app: FastifyInstance): Promise<number> {
  return (await send(app, 'POST /register', { body: { username: randomName(), password } }))
    .statusCode
}

/** Returns how many of several registrations at once are within the limit. */
async function countRegistrations (app: FastifyInstance, attempts: number): Promise<number> {
  const outcomes = Promise.allSettled(Array.from({ length: attempts }, () => app.limits.register('203.0.113.7')))
  return (await outcomes).filter(({ status }) => status === 'fulfilled').length
}

/** Blocks the event loop for this time, without work for a processor. */
function block (ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** Asserts that the limit of three holds, without late answers. Returns the number of answers that waited for Redis. */
async function expectLimited (t: Test, app: FastifyInstance): Promise<number> {
  const username = randomName()
  let waited = 0
  for (const expected of [401, 401, 401, 429, 429]) {
    const { value, elapsedMs } = await timed(() => guess(app, username))
    t.equal(value, expected)
    t.ok(elapsedMs < tooLateMs, `within ${Math.round(elapsedMs)} ms`)
    if (elapsedMs >= deadlineMs) waited++
  }
  return waited
}

async function countKeys (server: OwnRedis): Promise<number> {
  const redis = new Redis(server.url)
  try {
    return (await redis.keys('*password-by-account-and-ip*')).length
  } finally {
    redis.disconnect()
  }
}

async function expectCountedInRedis (t: Test, { app, server }: Watched): Promise<void> {
  const before = await countKeys(server)
  t.equal(await guess(app, randomName()), 401)
  t.equal(await countKeys(server), before + 1, 'counted in Redis')
}

testFault(t, redisRows.guessesWhileStalled, async t => {
  const watched = await watchedApp(t)
  const { app, server, count } = watched
  await expectCountedInRedis(t, watched)
  server.pause()
  t.ok(await expectLimited(t, app) <= 1, 'one has waited at most')
  t.equal(await expectLimited(t, app), 0, 'and later none')
  t.ok((await signUp(app)).token, 'who has the right password signs in')
  t.equal(count(lost), 1)
  server.resume()
  await until('it is back', () => count(back) === 1)
  await expectCountedInRedis(t, watched)
  t.equal(count('Redis refuses to count'), 0)
})

t.test('many at the same time while Redis is stopped are all answered in time', async t => {
  const { app, server } = await watchedApp(t, impatience)
  const username = randomName()
  server.pause()
  const { value, elapsedMs } = await timed(() => Promise.all(Array.from({ length: 50 }, () => guess(app, username))))
  t.ok(elapsedMs < 2 * tooLateMs, `within ${Math.round(elapsedMs)} ms`)
  t.equal(value?.filter(status => status === 401).length, 3)
  t.equal(value?.filter(status => status === 429).length, 47)
  server.resume()
})

testFault(t, redisRows.guessesWhileDown, async t => {
  const watched = await watchedApp(t)
  const { app, server, count } = watched
  await server.kill()
  await expectLimited(t, app)
  await until('the loss is told', () => count(lost) === 1)
  await server.start()
  await until('it is back', () => count(back) === 1)
  await expectCountedInRedis(t, watched)
  t.equal(count(lost), 1, 'it is told once')
})

t.test('a Redis that refuses to count is said so once, and the limits hold', async t => {
  const { app, server, count } = await watchedApp(t)
  const behind = new Redis(server.url)
  t.teardown(() => { behind.disconnect() })
  await behind.acl('SETUSER', 'default', '-@scripting')
  await expectLimited(t, app)
  await until('it is told', () => count('Redis refuses to count attempts') === 1)
  await expectLimited(t, app)
  t.equal(count('Redis refuses to count attempts'), 1)
  t.equal(count(lost), 0)
})

t.test('a Redis that is full is not grown by guesses, the limits hold, and it counts again once it has room', async t => {
  const watched = await watchedApp(t)
  const { server, app, count } = watched
  await server.admin.config('SET', 'maxmemory', '1')
  await expectLimited(t, app)
  t.equal(await countKeys(server), 0)
  await until('it is told', () => count('Redis refuses to count attempts') === 1)
  await server.admin.config('SET', 'maxmemory', '0')
  await expectCountedInRedis(t, watched)
  t.equal(count(lost), 0)
})

t.test('a Redis that can only be read goes on refusing what is used up', async t => {
  const { app, server, count } = await watchedApp(t, { LIMIT_REGISTER_BY_IP: '3/900' })
  t.equal(await countRegistrations(app, 3), 3)
  await server.admin.config('SET', 'min-replicas-to-write', '3')
  t.equal(await countRegistrations(app, 3), 0)
  await new Promise(resolve => { setTimeout(resolve, 100) })
  t.equal(count('Redis refuses to count attempts'), 0, 'by its own count')
})

t.test('a Redis that forgets its scripts, and everything else, goes on counting', async t => {
  const watched = await watchedApp(t)
  const behind = new Redis(watched.server.url)
  t.teardown(() => { behind.disconnect() })
  await expectLimited(t, watched.app)
  await behind.script('FLUSH')
  await behind.flushall()
  await expectCountedInRedis(t, watched)
  t.equal(watched.count('Redis refuses to count'), 0)
})

t.test('a burst that makes the event loop late is counted in Redis all the same', async t => {
  const { app, server, count } = await watchedApp(t, { LIMIT_REGISTER_BY_IP: '20/900' })
  t.equal(await countRegistrations(app, 15), 15)
  const admitted = [countRegistrations(app, 26), countRegistrations(app, 6)]
  block(deadlineMs + 500)
  t.same(await Promise.all(admitted), [5, 0])
  t.equal(count(lost), 0, 'the connection is kept')
  t.equal((await server.admin.keys('*register-by-ip*')).length, 1)
})

testFault(t, redisRows.limitWhileStalled, async t => {
  const { app, server, count } = await watchedApp(t, { LIMIT_REGISTER_BY_IP: '3/900' })
  for (let time = 0; time < 3; time++) t.equal(await register(app), 201)
  t.equal(await countRegistrations(app, 1), 1)
  server.pause()
  t.same(await Promise.all(Array.from({ length: 4 }, () => register(app))), [429, 429, 429, 429])
  t.equal(await countRegistrations(app, 4), 2, 'one of three was used up before')
  server.resume()
  await until('it is back', () => count(back) === 1)
  t.equal(await register(app), 429)
  t.equal(await countRegistrations(app, 4), 0)
  t.equal(await server.admin.get((await server.admin.keys('*register-by-ip:203*'))[0] ?? ''), '3')
})

t.test('an attempt that was under way when Redis stopped gets its verdict, and counts once', async t => {
  const { app, server, count } = await watchedApp(t, { ...impatience, LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '2/900' })
  const guess = { account: 'ada', ip: '203.0.113.7', isKnownPlace: async () => false }
  const [right, wrong] = [await app.limits.attemptPassword(guess), await app.limits.attemptPassword(guess)]
  server.pause()
  await Promise.all([t.resolves(right.succeed()), t.resolves(wrong.fail())])
  const later = await app.limits.attemptPassword(guess)
  await t.resolves(later.fail())
  await t.rejects(app.limits.attemptPassword(guess), { code: 'too_many_requests' })
  server.resume()
  await until('it is back', () => count(back) > 0)
  await t.rejects(app.limits.attemptPassword(guess), { code: 'too_many_requests' })
})
