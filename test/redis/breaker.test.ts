import t from 'tap'
import { BreakerOpenError, createBreaker } from '../../src/redis/link.ts'

/** A breaker, a stopped clock, and a call that fails until `asked.works` is set. */
function scene () {
  const clock = { now: 0 }
  const told: string[] = []
  const asked = { count: 0, works: false }
  const breaker = createBreaker({
    now: () => clock.now,
    onOpen: () => {
      told.push('open')
    },
    onClose: () => {
      told.push('closed')
    }
  })
  const ask = async () => {
    asked.count++
    if (!asked.works) throw new Error('No answer.')
    return 'an answer'
  }
  return { breaker, clock, told, asked, run: () => breaker.run(ask) }
}

t.test('after three misses in a row the breaker opens, and no call waits any more', async t => {
  const { breaker, told, asked, run } = scene()
  for (let misses = 0; misses < 3; misses++) {
    t.notOk(breaker.isOpen)
    await t.rejects(run(), { message: 'No answer.' })
  }
  t.ok(breaker.isOpen)
  await t.rejects(run(), BreakerOpenError)
  t.equal(asked.count, 3, 'it was not asked')
  t.same(told, ['open'])
})

t.test('misses that are not in a row do not add up', async t => {
  const { breaker, asked, run, told } = scene()
  for (let rounds = 0; rounds < 5; rounds++) {
    asked.works = false
    await t.rejects(run())
    await t.rejects(run())
    asked.works = true
    t.equal(await run(), 'an answer')
  }
  t.notOk(breaker.isOpen)
  t.same(told, [])
})

t.test('an open breaker lets one probe through at a time, ten a second, and the first answer closes it', async t => {
  const { breaker, clock, told, asked, run } = scene()
  for (let misses = 0; misses < 3; misses++) await t.rejects(run())
  clock.now = 99
  await t.rejects(run(), BreakerOpenError)
  clock.now = 100
  let release = () => {}
  const probe = breaker.run(
    () =>
      new Promise<string>((_resolve, reject) => {
        release = () => {
          reject(new Error('No answer.'))
        }
      })
  )
  await t.rejects(run(), BreakerOpenError, 'another is under way')
  clock.now = 5_000
  await t.rejects(run(), BreakerOpenError, 'however long it takes')
  release()
  await t.rejects(probe, { message: 'No answer.' })
  await t.rejects(run(), BreakerOpenError, 'the next one waits for its turn')
  t.equal(asked.count, 3)
  clock.now = 5_100
  asked.works = true
  t.equal(await run(), 'an answer')
  t.notOk(breaker.isOpen)
  t.equal(await run(), 'an answer')
  t.same(told, ['open', 'closed'])
})

t.test('calls that began before the breaker opened report its opening once', async t => {
  const { breaker, told } = scene()
  const failing = () => breaker.run(async () => { throw new Error('No answer.') })
  await Promise.allSettled(Array.from({ length: 10 }, failing))
  t.ok(breaker.isOpen)
  t.same(told, ['open'])
})

t.test('a clock that is set back does not keep the breaker open', async t => {
  const { now } = Date
  let setBackMs = 0
  Date.now = () => now() - setBackMs
  t.teardown(() => { Date.now = now })
  const breaker = createBreaker()
  for (let misses = 0; misses < 3; misses++) await t.rejects(breaker.run(async () => { throw new Error('No answer.') }))
  setBackMs = 3_600_000
  await new Promise(resolve => setTimeout(resolve, 120))
  t.equal(await breaker.run(async () => 'an answer'), 'an answer')
})
