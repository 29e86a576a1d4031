import t, { type Test } from 'tap'
import type { Counter, CounterSize } from '../../src/limits/counter.ts'
import { createInsuredCounter } from '../../src/limits/insured-counter.ts'
import { createMemoryCounter } from '../../src/limits/memory-counter.ts'
import { createRedisCounter } from '../../src/limits/redis-counter.ts'
import { connectionsTo } from '../../src/redis/connections.ts'
import { createRedisConnection } from '../../src/redis/connection.ts'
import { randomName, redisUrl, scratchPrefix } from '../support/services.ts'
import { until } from '../support/wait.ts'

/** Counters that count together, as those of replicas do, and how many keys they remember. */
interface Counted {
  counters: [Counter, ...Counter[]]
  countKeys: () => Promise<number>
}

const deadlineMs = 2_000

async function redisCounter (t: Test, size: CounterSize, prefix: string) {
  const redis = createRedisConnection(redisUrl(), { deadlineMs })
  t.teardown(() => { redis.disconnect() })
  await redis.connect()
  return {
    redis, counter: createRedisCounter(size, { shards: connectionsTo(redis, 'there').shards, prefix, deadlineMs })
  }
}

const kinds: Record<string, (t: Test, size: CounterSize) => Promise<Counted>> = {
  async 'in Redis, of two replicas' (t, size) {
    const prefix = scratchPrefix(t)
    const [first, second] = [await redisCounter(t, size, prefix), await redisCounter(t, size, prefix)]
    return {
      counters: [first.counter, second.counter], countKeys: async () => (await first.redis.keys(`${prefix}*`)).length
    }
  },
  async 'in memory' (_t, size) {
    const counter = createMemoryCounter(size)
    return { counters: [counter], countKeys: async () => counter.size }
  },
  async 'in Redis, with memory beside it, of two replicas' (t, size) {
    const prefix = scratchPrefix(t)
    const [first, second] = [await redisCounter(t, size, prefix), await redisCounter(t, size, prefix)]
    const insure = ({ counter }: typeof first) => createInsuredCounter(counter, createMemoryCounter(size))
    return {
      counters: [insure(first), insure(second)], countKeys: async () => (await first.redis.keys(`${prefix}*`)).length
    }
  },
  async 'in memory, since Redis was never there' (t, size) {
    const redis = createRedisConnection('redis://127.0.0.1:1', { deadlineMs })
    t.teardown(() => { redis.disconnect() })
    const memory = createMemoryCounter(size)
    const shared = createRedisCounter(size, { shards: connectionsTo(redis, 'there').shards, prefix: 'p:', deadlineMs })
    return { counters: [createInsuredCounter(shared, memory)], countKeys: async () => memory.size }
  }
}

/** Runs a test on every kind of counter. The one that the test is given passes its calls to the replicas in turn. */
async function onEachCounter (
  t: Test, size: Partial<CounterSize>, test: (t: Test, counter: Counter, counted: Counted) => Promise<void>
): Promise<void> {
  // Side by side, since they wait for windows and leases to end.
  t.jobs = Object.keys(kinds).length
  await Promise.all(Object.entries(kinds).map(([name, make]) => t.test(name, async t => {
    const counted = await make(t, { attempts: 5, windowMs: 900_000, leaseMs: 60_000, ...size })
    let turn = 0
    const next = () => counted.counters[turn++ % counted.counters.length] as Counter
    await test(t, {
      reserve: (key, id) => next().reserve(key, id),
      settle: (key, id, isWrong) => next().settle(key, id, isWrong),
      count: key => next().count(key)
    }, counted)
  })))
}

const ids = (count: number) => Array.from({ length: count }, randomName)

/** Makes a number of attempts at the same time, and returns the ids of those that are admitted. */
async function reserveAtOnce (counter: Counter, key: string, attempts: number): Promise<string[]> {
  const tried = ids(attempts)
  const admissions = await Promise.all(tried.map(id => counter.reserve(key, id)))
  return tried.filter((_, index) => admissions[index]?.isAdmitted)
}

async function countAtOnce (counter: Counter, key: string, attempts: number): Promise<number> {
  const admissions = await Promise.all(Array.from({ length: attempts }, () => counter.count(key)))
  return admissions.filter(({ isAdmitted }) => isAdmitted).length
}

t.test('an attempt is admitted while wrong attempts and attempts under way are below the limit', t => onEachCounter(t, { attempts: 3 }, async (t, counter) => {
  t.match(await counter.reserve('a', 'first'), { isAdmitted: true, wrong: 0, underWay: 1, windowMs: 0 })
  t.match(await counter.settle('a', 'first', true), { wasHeld: true, wrong: 1, underWay: 0 })
  t.match(await counter.reserve('a', 'second'), { isAdmitted: true, wrong: 1, underWay: 1 })
  t.match(await counter.reserve('a', 'third'), { isAdmitted: true, wrong: 1, underWay: 2 })
  t.match(await counter.reserve('a', 'fourth'), { isAdmitted: false, wrong: 1, underWay: 2 })
  t.match(
    await counter.settle('a', 'second', false),
    { wasHeld: true, wrong: 1, underWay: 1 },
    'a right one changes nothing that is counted'
  )
  t.match(await counter.settle('a', 'third', true), { wasHeld: true, wrong: 2, underWay: 0 })
  t.match(await counter.count('a'), { isAdmitted: true, wrong: 3, underWay: 0 })
  const refused = await counter.reserve('a', 'fifth')
  t.match(refused, { isAdmitted: false, wrong: 3, underWay: 0 })
  t.ok(refused.windowMs > 890_000 && refused.windowMs <= 900_000, `${refused.windowMs} ms`)
  t.match(await counter.count('a'), { isAdmitted: false, wrong: 3 })
  t.match(
    await counter.reserve('b', 'sixth'), { isAdmitted: true, wrong: 0, underWay: 1 }, 'each key has its own count'
  )
}))

t.test('attempts at the same time are not admitted beyond the limit', t => onEachCounter(t, {}, async (t, counter) => {
  t.equal((await reserveAtOnce(counter, 'a', 50)).length, 5)
  t.equal((await reserveAtOnce(counter, 'a', 50)).length, 0)
  t.equal(await countAtOnce(counter, 'b', 50), 5)
}))

t.test('continuous guesses are not admitted beyond the limit, even while others guess right', t => onEachCounter(t, {}, async (t, counter) => {
  let admitted = 0
  await Promise.all(Array.from({ length: 12 }, async (_, guesser) => {
    for (let round = 0; round < 10; round++) {
      const id = randomName()
      if (!(await counter.reserve('a', id)).isAdmitted) continue
      // One in three knows the password.
      const isWrong = guesser % 3 > 0
      const { wasHeld, wrong, underWay } = await counter.settle('a', id, isWrong)
      t.ok(wasHeld && wrong + underWay <= 5, `${wrong} and ${underWay}`)
      if (isWrong) admitted++
    }
  }))
  t.equal(admitted, 5)
  t.match(await counter.reserve('a', 'last'), { isAdmitted: false, wrong: 5, underWay: 0 })
}))

t.test('a reservation can be settled only once', t => onEachCounter(t, { attempts: 2 }, async (t, counter) => {
  await counter.reserve('a', 'first')
  t.match(await counter.settle('a', 'first', true), { wasHeld: true, wrong: 1, underWay: 0 })
  for (const isWrong of [true, false]) {
    t.match(await counter.settle('a', 'first', isWrong), { wasHeld: false, wrong: 1, underWay: 0 })
    t.match(await counter.settle('a', 'another', isWrong), { wasHeld: false, wrong: 1, underWay: 0 })
    t.match(await counter.settle('b', 'another', isWrong), { wasHeld: false, wrong: 0, underWay: 0 })
  }
}))

t.test('a reservation that has lapsed counts as a wrong attempt, and cannot be settled', t => onEachCounter(t, { attempts: 2, leaseMs: 2_500 }, async (t, counter) => {
  await counter.reserve('a', 'first')
  await until('it has lapsed', async () => (await counter.settle('a', 'another', true)).wrong === 1)
  for (const isWrong of [false, true]) {
    t.match(await counter.settle('a', 'first', isWrong), { wasHeld: false, wrong: 1, underWay: 0 })
  }
  await counter.reserve('a', 'second')
  t.match(await counter.settle('a', 'second', false), { wasHeld: true, wrong: 1 })
  t.match(await counter.count('a'), { isAdmitted: true })
  t.match(await counter.reserve('a', 'third'), { isAdmitted: false, wrong: 2 })
}))

t.test('a window ends at its announced time, even if attempts continue', t => onEachCounter(t, { attempts: 2, windowMs: 3_000 }, async (t, counter) => {
  const startedAt = performance.now()
  t.equal(await countAtOnce(counter, 'a', 2), 2)
  const { windowMs } = await counter.count('a')
  t.ok(windowMs > 0 && windowMs <= 3_000, `${windowMs} ms`)
  await until('an attempt is admitted', async () => (await counter.count('a')).isAdmitted, 20_000)
  const elapsedMs = performance.now() - startedAt
  t.ok(elapsedMs > 2_900 && elapsedMs < 15_000, `after ${Math.round(elapsedMs)} ms`)
  t.equal(await countAtOnce(counter, 'a', 20), 1, 'and the next window is like the first')
}))

t.test('an attempt under way keeps its place when the window ends', t => onEachCounter(t, { attempts: 2, windowMs: 300 }, async (t, counter) => {
  await counter.reserve('a', 'long')
  await counter.count('a')
  await until('the window has ended', async () => (await counter.settle('a', 'another', true)).wrong === 0)
  t.equal((await reserveAtOnce(counter, 'a', 20)).length, 1)
  t.match(await counter.settle('a', 'long', false), { wasHeld: true, wrong: 0, underWay: 1 })
}))

t.test('right attempts leave no key, and wrong ones leave no key after their window', t => onEachCounter(t, { windowMs: 400, leaseMs: 2_500 }, async (t, counter, { countKeys }) => {
  const keys = ids(20)
  await Promise.all(keys.map(key => counter.reserve(key, key)))
  t.equal(await countKeys(), 20)
  await Promise.all(keys.map(key => counter.settle(key, key, false)))
  t.equal(await countKeys(), 0)
  await counter.count('counted')
  await counter.reserve('lapses', 'first')
  await until('both are forgotten', async () => await countKeys() === 0, 20_000)
}))
