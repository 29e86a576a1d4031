import { stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import t from 'tap'
import {
  createPasswordHasher, DamagedHashError, defaultMaxRunning, TooManyHashesError
} from '../../src/users/password-hasher.ts'

const here = '203.0.113.1'

t.test('a hash is Argon2id with 19456 KiB, two passes, one lane and its own salt', async t => {
  const passwords = await createPasswordHasher()
  const [first, second] = [await passwords.hash('a password', here), await passwords.hash('a password', here)]
  t.match(first, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[^$]{22}\$[^$]{43}$/)
  t.not(first, second)
  t.equal(await passwords.verify('a password', first, here), true)
  t.equal(await passwords.verify('another', first, here), false)
})

t.test('without a user, or with a damaged hash, the same work is done against a decoy', async t => {
  const passwords = await createPasswordHasher()
  const hash = await passwords.hash('a password', here)
  t.equal(await passwords.verify('a password', undefined, here), false)
  await t.rejects(passwords.verify('a password', 'not a hash', here), DamagedHashError)
  // The decoy is hashed with the same parameters, so that it costs as much as a real hash. The bounds compare medians
  // of many rounds, so that only a missing verification breaks them.
  const [withUser, without, damaged] = [[], [], []] as [number[], number[], number[]]
  for (let round = 0; round < 15; round++) {
    for (const [costs, stored] of [[withUser, hash], [without, undefined], [damaged, 'not a hash']] as const) {
      const startedAt = performance.now()
      await passwords.verify('a wrong password', stored, here).catch(() => {})
      costs.push(performance.now() - startedAt)
    }
  }
  const median = (costs: number[]) => costs.sort((a, b) => a - b)[7] ?? 0
  for (const costs of [without, damaged]) {
    t.ok(median(costs) > median(withUser) / 5, `${median(costs)} ms against ${median(withUser)} ms`)
  }
})

t.test('few hashes run at a time, a bounded number waits, and each further one is a 503', async t => {
  const passwords = await createPasswordHasher({ maxRunning: 1, maxWaiting: 2 })
  const hashes = Array.from({ length: 5 }, () => passwords.hash('a password', here))
  const settled = Promise.allSettled(hashes)
  await new Promise(resolve => { setImmediate(resolve) })
  t.same(passwords.load, { running: 1, waiting: 2 })
  const answers = await settled
  t.same(passwords.load, { running: 0, waiting: 0 })
  t.same(answers.map(answer => answer.status), ['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected'])
  for (const answer of answers) {
    if (answer.status === 'rejected') {
      t.match(answer.reason, { code: 'service_unavailable', statusCode: 503, retryAfterSeconds: 1 })
    }
  }
  t.match(await passwords.hash('a password', here), '$argon2id$', 'and there is room again')
})

t.test('a password that has waited too long for its turn is not hashed', async t => {
  const cost = { memoryCost: 65_536, timeCost: 3 }
  const passwords = await createPasswordHasher({ maxRunning: 1, maxWaitMs: 1, cost })
  const [first, second] = await Promise.allSettled([passwords.hash('first', here), passwords.hash('second', here)])
  t.equal(first.status, 'fulfilled')
  t.match(second, { status: 'rejected', reason: { code: 'service_unavailable', cause: TooManyHashesError } })
  t.match(await passwords.hash('third', here), '$argon2id$', 'and there is room again')
  t.same(passwords.load, { running: 0, waiting: 0 })
})

t.test('places take turns, so one that sends very many passwords keeps no other waiting', async t => {
  const passwords = await createPasswordHasher({ maxRunning: 1, maxWaiting: 10 })
  const done: string[] = []
  const hash = async (place: string) => { await passwords.hash('a password', place); done.push(place) }
  const flood = Array.from({ length: 9 }, () => hash('flood'))
  const others = [hash('ada'), hash('bob')]
  await Promise.all([...flood, ...others])
  t.same(done.slice(0, 4), ['flood', 'flood', 'ada', 'bob'])
})

t.test('when there is no room, the place with most passwords loses its last one', async t => {
  const passwords = await createPasswordHasher({ maxRunning: 1, maxWaiting: 3 })
  const flood = Array.from({ length: 5 }, () => passwords.hash('a password', 'flood'))
  const others = [passwords.hash('a password', 'ada'), passwords.hash('a password', 'bob')]
  const answers = await Promise.allSettled([...flood, ...others])
  t.same(
    answers.map(({ status }) => status === 'fulfilled'),
    // The first runs at once. Two of the three that wait make room.
    [true, true, false, false, false, true, true]
  )
  t.same(passwords.load, { running: 0, waiting: 0 })
})

t.test('an invalid stored hash is a defect, and frees its place', async t => {
  const passwords = await createPasswordHasher({ maxRunning: 1, maxWaiting: 0 })
  await t.rejects(passwords.verify('a password', 'not a hash', here))
  await t.rejects(passwords.verify('a password', 'not a hash', here))
  t.match(await passwords.hash('a password', here), '$argon2id$')
})

t.test('the file system answers at once while passwords wait to be hashed', async t => {
  const passwords = await createPasswordHasher()
  let done = 0
  const hashes = Array.from({ length: 40 }, () => passwords.hash('a password', here).then(() => { done++ }))
  await new Promise(resolve => { setImmediate(resolve) })
  await stat('.')
  t.ok(done < 20, `${done} of 40 hashes were done`)
  await Promise.all(hashes)
})

t.test('as many hashes run as there are cores, and a thread pool of three or more keeps two threads free', async t => {
  const before = process.env['UV_THREADPOOL_SIZE']
  t.teardown(() => {
    if (before === undefined) delete process.env['UV_THREADPOOL_SIZE']
    else process.env['UV_THREADPOOL_SIZE'] = before
  })
  for (const [poolSize, most] of [['1', 1], ['2', 1], ['3', 1], ['4', 2], ['64', 62], ['nonsense', 2]] as const) {
    process.env['UV_THREADPOOL_SIZE'] = poolSize
    t.equal(defaultMaxRunning(), Math.min(availableParallelism(), most), poolSize)
  }
  const passwords = await createPasswordHasher()
  const hashes = Array.from({ length: 5 }, () => passwords.hash('a password', here))
  await new Promise(resolve => { setImmediate(resolve) })
  t.equal(passwords.load.running, defaultMaxRunning(), 'that is the default of the hasher')
  await Promise.all(hashes)
})
