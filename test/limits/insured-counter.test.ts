import t, { type Test } from 'tap'
import type { Counter } from '../../src/limits/counter.ts'
import { createInsuredCounter } from '../../src/limits/insured-counter.ts'
import { withLoopDeadline } from '../../src/timing/loop-deadline.ts'
import { createMemoryCounter } from '../../src/limits/memory-counter.ts'
import { createRedisCounter, type RedisCounter } from '../../src/limits/redis-counter.ts'
import { connectionsTo } from '../../src/redis/connections.ts'
import { createRedisConnection } from '../../src/redis/connection.ts'
import { redisUrl, scratchPrefix } from '../support/services.ts'
import { until } from '../support/wait.ts'

const size = { attempts: 4, windowMs: 900_000, leaseMs: 60_000 }

/** The ways in which Redis may fail: commands never arrive, or they are executed and the answer is lost. */
type Failure = 'is not connected' | 'never gets a command' | 'executes a command, and its answer is lost'
const failures: Failure[] = ['is not connected', 'never gets a command', 'executes a command, and its answer is lost']

/** A counter in Redis with memory beside it, and a state that makes Redis fail. */
async function insured (t: Test, retryMs?: number) {
  const redis = createRedisConnection(redisUrl(), { deadlineMs: 2_000 })
  t.teardown(() => { redis.disconnect() })
  await redis.connect()
  const real = createRedisCounter(size, {
    shards: connectionsTo(redis, 'there').shards, prefix: scratchPrefix(t), deadlineMs: 2_000
  })
  const state: { failure: Failure | undefined } = { failure: undefined }
  async function through<T> (command: () => Promise<T>): Promise<T> {
    if (state.failure === undefined) return await command()
    if (state.failure.startsWith('executes')) await command()
    throw new Error('No answer.')
  }
  const failing: RedisCounter = {
    isReady: () => state.failure !== 'is not connected',
    reserve: (key, id) => through(() => real.reserve(key, id)),
    settle: (key, id, isWrong) => through(() => real.settle(key, id, isWrong)),
    count: key => through(() => real.count(key)),
    carry: (key, uncarried) => through(() => real.carry(key, uncarried))
  }
  const memory = createMemoryCounter(size)
  return {
    counter: createInsuredCounter(failing, memory, retryMs === undefined ? {} : { retryMs }), real, memory, state
  }
}

async function countAdmitted (counter: Counter, key: string, attempts: number): Promise<number> {
  let admitted = 0
  for (let attempt = 0; attempt < attempts; attempt++) if ((await counter.count(key)).isAdmitted) admitted++
  return admitted
}

for (const failure of failures) {
  t.test(`counts from Redis are kept during an outage (Redis ${failure})`, async t => {
    const { counter, state } = await insured(t)
    t.equal(await countAdmitted(counter, 'used up', 5), 4)
    t.equal(await countAdmitted(counter, 'half', 2), 2)
    state.failure = failure
    t.equal(await countAdmitted(counter, 'used up', 3), 0)
    t.equal(await countAdmitted(counter, 'half', 5), 2)
    t.ok((await counter.count('used up')).windowMs > 800_000, 'and the window ends when Redis said so')
  })

  t.test(`counts from memory are in Redis after an outage (Redis ${failure})`, async t => {
    const { counter, real, state } = await insured(t)
    t.equal(await countAdmitted(counter, 'a', 1), 1)
    state.failure = failure
    t.equal(await countAdmitted(counter, 'a', 2), 2)
    t.equal(await countAdmitted(counter, 'b', 1), 1)
    state.failure = undefined
    // An attempt comes before the rest is carried over.
    t.equal(await countAdmitted(counter, 'a', 3), failure.startsWith('executes') ? 0 : 1)
    await counter.carryOver()
    await counter.carryOver()
    const { wrong } = await real.settle('b', 'none', false)
    t.ok(failure.startsWith('executes') ? wrong === 2 : wrong === 1, `${wrong}, once`)
  })

  t.test(`attempts under way are settled during an outage (Redis ${failure})`, async t => {
    const { counter, real, state } = await insured(t)
    for (const id of ['right', 'wrong']) t.match(await counter.reserve('a', id), { isAdmitted: true })
    state.failure = failure
    t.match(await counter.reserve('a', 'in memory'), { isAdmitted: true, underWay: 3 })
    t.match(await counter.settle('a', 'right', false), { wasHeld: true })
    t.match(await counter.settle('a', 'wrong', true), { wasHeld: true, wrong: 1 })
    t.match(await counter.settle('a', 'in memory', true), { wasHeld: true, wrong: 2, underWay: 0 })
    t.match(await counter.settle('a', 'in memory', true), { wasHeld: false }, 'once')
    state.failure = undefined
    await counter.carryOver()
    // The wrong one is still under way in Redis if that did not hear of it, and lapses there: it counts either way.
    const { wrong, underWay } = await real.settle('a', 'none', false)
    if (failure.startsWith('executes')) t.ok(wrong + underWay >= 2, 'at least')
    else t.equal(wrong + underWay, 2)
  })
}

t.test('Redis gets missed counts automatically after it refused commands on an open connection', async t => {
  const { counter, real, state } = await insured(t, 20)
  t.match(await counter.reserve('right', 'first'), { isAdmitted: true })
  state.failure = 'never gets a command'
  t.match(await counter.settle('right', 'first', false), { wasHeld: true })
  t.equal(await countAdmitted(counter, 'counted', 2), 2)
  state.failure = undefined
  await until('the reservation is dropped', async () => (await real.settle('right', 'none', false)).underWay === 0)
  await until('the attempts are counted', async () => (await real.settle('counted', 'none', false)).wrong === 2)
})

t.test('a reservation that Redis has lost cannot be settled', async t => {
  const { counter, real } = await insured(t)
  await counter.reserve('a', 'lost')
  await real.settle('a', 'lost', false)
  t.match(await counter.settle('a', 'lost', false), { wasHeld: false })
})

t.test('an answer from Redis does not replace counts that Redis does not have yet', async t => {
  const memory = createMemoryCounter(size)
  await memory.count('a')
  await memory.count('a')
  memory.learn('a', { wrong: 1, underWay: 0, windowMs: 1_000 })
  t.match(await memory.settle('a', 'none', false), { wrong: 3 })
  const uncarried = memory.takeUncarried('a')
  t.match(uncarried, { attempts: 2 })
  t.equal(memory.takeUncarried('a'), undefined, 'once')
  memory.learn('a', { wrong: 3, underWay: 0, windowMs: 1_000 })
  t.match(await memory.settle('a', 'none', false), { wrong: 3 })
})

t.test('the counter in memory is bounded, and a flood of names does not reset a limit', async t => {
  const counter = createMemoryCounter(size, { maxKeys: 100 })
  for (let attempt = 0; attempt < size.attempts; attempt++) await counter.count('victim')
  for (let flood = 0; flood < 2_000; flood++) await counter.count(`made up ${flood}`)
  t.equal(counter.size, 100)
  t.match(await counter.count('victim'), { isAdmitted: false, wrong: size.attempts })
})

t.test('a loop deadline does not pass while the event loop is blocked, and passes without an answer', async t => {
  const redis = createRedisConnection(redisUrl(), { deadlineMs: 5_000 })
  t.teardown(() => { redis.disconnect() })
  await redis.connect()
  const waiting = withLoopDeadline(redis.ping(), 50)
  const endsAt = performance.now() + 200
  while (performance.now() < endsAt);
  t.equal(await waiting, 'PONG', 'it has arrived meanwhile, and is read')
  const startedAt = performance.now()
  await t.rejects(withLoopDeadline(new Promise(() => {}), 50), { name: 'DeadlineError' })
  const elapsedMs = performance.now() - startedAt
  t.ok(elapsedMs > 45 && elapsedMs < 5_000, `${elapsedMs} ms`)
  await t.rejects(withLoopDeadline(Promise.reject(new Error('Refused.')), 50), { message: 'Refused.' })
})

t.test('the reservation of a right attempt is dropped in Redis, even if the answer of Redis was lost', async t => {
  const { counter, real, state } = await insured(t)
  state.failure = 'executes a command, and its answer is lost'
  t.match(await counter.reserve('a', 'first'), { isAdmitted: true })
  t.match(await counter.settle('a', 'first', false), { wasHeld: true })
  state.failure = undefined
  t.match(await real.settle('a', 'none', false), { underWay: 1 }, 'Redis holds it')
  await counter.carryOver()
  t.match(await real.settle('a', 'none', false), { wrong: 0, underWay: 0 })
})
