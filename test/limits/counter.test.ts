import t, { type Test } from 'tap'
import { createCounter, type Counter } from '../../src/limits/counter.ts'
import { MemoryLimiter } from '../../src/limits/memory-limiter.ts'
import { createRedisLimiter } from '../../src/limits/redis-limiter.ts'
import { connectionsTo } from '../../src/redis/connections.ts'
import type { RateLimit, SignoutError } from '../../src/errors.ts'
import { createRedisConnection } from '../../src/revocation/redis-connection.ts'
import { randomName, redisUrl, scratchPrefix } from '../support/services.ts'
import { until } from '../support/wait.ts'

const limitOf = (attempts: number, windowSeconds: number): RateLimit => ({ name: 'guesses', attempts, windowSeconds })

/** A counter, and how many keys it remembers. */
interface Counted {
  counter: Counter
  countKeys: () => Promise<number>
}

async function redisCounter (t: Test, limit: RateLimit): Promise<Counted> {
  const prefix = scratchPrefix(t)
  const redis = createRedisConnection(redisUrl(), { deadlineMs: 2_000 })
  t.teardown(() => { redis.disconnect() })
  await redis.connect()
  return {
    counter: createCounter(limit, createRedisLimiter(limit, { shards: connectionsTo(redis, 'there').shards, prefix })),
    countKeys: async () => (await redis.keys(`${prefix}*`)).length
  }
}

async function memoryCounter (_t: Test, { name, attempts, windowSeconds }: RateLimit): Promise<Counted> {
  const limiter = new MemoryLimiter({ points: attempts, duration: windowSeconds })
  return {
    counter: createCounter({ name, attempts, windowSeconds }, limiter),
    countKeys: async () => limiter.dump().storage.length
  }
}

/** What counts while Redis was never there. */
async function insuredCounter (t: Test, limit: RateLimit): Promise<Counted> {
  const redis = createRedisConnection('redis://127.0.0.1:1', { deadlineMs: 2_000 })
  t.teardown(() => { redis.disconnect() })
  const limiter = createRedisLimiter(limit, { shards: connectionsTo(redis, 'there').shards, prefix: 'p:' })
  return {
    counter: createCounter(limit, limiter),
    countKeys: async () => (limiter as unknown as { insuranceLimiter: MemoryLimiter }).insuranceLimiter.dump().storage.length
  }
}

async function onEachCounter (t: Test, limit: RateLimit, test: (t: Test, counted: Counted) => Promise<void>): Promise<void> {
  for (const [name, make] of Object.entries({ 'in Redis': redisCounter, 'in memory': memoryCounter, 'in memory while Redis is away': insuredCounter })) {
    await t.test(name, async t => { await test(t, await make(t, limit)) })
  }
}

/** How many of so many attempts at the same time pass. */
async function countPassing (counter: Counter, key: string, attempts: number): Promise<number> {
  const outcomes = await Promise.allSettled(Array.from({ length: attempts }, () => counter.take(key)))
  return outcomes.filter(({ status }) => status === 'fulfilled').length
}

const passes = (counter: Counter, key: string) => counter.take(key).then(() => true, () => false)

t.test('so many attempts pass, and the next is refused with the limit and the time that it lasts', t => onEachCounter(t, limitOf(3, 900), async (t, { counter }) => {
  for (let attempt = 0; attempt < 3; attempt++) await counter.take('a')
  await t.rejects(counter.take('a'), { code: 'too_many_requests', statusCode: 429, retryAfterSeconds: 900, limit: { name: 'guesses', attempts: 3, windowSeconds: 900 } })
  await t.resolves(counter.take('b'), 'each key for itself')
}))

t.test('attempts at the same time do not get through together', t => onEachCounter(t, limitOf(5, 900), async (t, { counter }) => {
  t.equal(await countPassing(counter, randomName(), 50), 5)
}))

t.test('an attempt that is refused does not count', t => onEachCounter(t, limitOf(3, 900), async (t, { counter }) => {
  t.equal(await countPassing(counter, 'a', 20), 3)
  await counter.giveBack('a')
  t.equal(await countPassing(counter, 'a', 20), 1, 'one was given back, one passes')
}))

t.test('a limit passes when it said so, however often it was tried meanwhile', t => onEachCounter(t, limitOf(2, 1), async (t, { counter }) => {
  const startedAt = performance.now()
  t.equal(await countPassing(counter, 'a', 2), 2)
  const refusal = await counter.take('a').catch((error: SignoutError) => error)
  t.equal(refusal?.retryAfterSeconds, 1)
  await until('an attempt passes', () => passes(counter, 'a'))
  const elapsedMs = performance.now() - startedAt
  t.ok(elapsedMs > 900 && elapsedMs < 3_000, `after ${Math.round(elapsedMs)} ms`)
  t.equal(await countPassing(counter, 'a', 20), 1, 'and the next window is like the first')
}))

t.test('what is given back after its window is not saved up for the next', t => onEachCounter(t, limitOf(2, 1), async (t, { counter }) => {
  t.equal(await countPassing(counter, 'a', 2), 2)
  await until('an attempt passes', () => passes(counter, 'a'))
  for (let attempt = 0; attempt < 5; attempt++) await counter.giveBack('a')
  t.equal(await countPassing(counter, 'a', 20), 2)
}))

t.test('giving back and trying at the same time loses no count', t => onEachCounter(t, limitOf(2, 900), async (t, { counter }) => {
  await counter.take('a')
  await Promise.all([counter.giveBack('a'), counter.take('a')])
  t.equal(await countPassing(counter, 'a', 20), 1)
}))

t.test('nothing is remembered of attempts that were all given back, nor of any after its window', t => onEachCounter(t, limitOf(5, 1), async (t, { counter, countKeys }) => {
  const keys = Array.from({ length: 20 }, randomName)
  await Promise.all(keys.map(key => counter.take(key)))
  t.equal(await countKeys(), 20)
  await Promise.all(keys.map(key => counter.giveBack(key)))
  t.equal(await countKeys(), 0)
  await counter.take('a')
  await until('it is forgotten', async () => await countKeys() === 0)
}))
