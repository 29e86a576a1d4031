import t, { type Test } from 'tap'
import type { ClockReading } from '../../src/clocks/clock-reading.ts'
import { createClocks, type Clocks } from '../../src/clocks/clocks.ts'
import type { ClockServer } from '../../src/clocks/compare-clocks.ts'
import { clockFlaws } from '../../src/redis/health/auditor.ts'

const redis: ClockServer = { kind: 'redis', at: 'there' }
const postgres: ClockServer = { kind: 'postgres' }
const epochMs = 1_800_000_000_000

interface Scene {
  clocks: Clocks
  /** By how many seconds each clock is ahead of the true time. */
  ahead: { own: number, redis: number, postgres: number }
  /** Lets time pass, in seconds. A virtual machine that is suspended has a monotonic clock that stands still. */
  pass (seconds: number, isSuspended?: boolean): void
  /** Reads the clocks of the servers, without those that are down. */
  audit (...away: Array<ClockServer['kind']>): Promise<void>
  /** Returns the flaws that an audit finds now. */
  kinds (): string[]
}

async function scene (leewaySeconds = 5): Promise<Scene> {
  const ahead = { own: 0, redis: 0, postgres: 0 }
  const time = { trueMs: epochMs, monotonicMs: 1_000 }
  const clocks = createClocks({
    leewaySeconds, now: () => Math.floor(time.trueMs + ahead.own * 1000), monotonic: () => time.monotonicMs
  })
  const ask = (kind: ClockServer['kind']) => async () => Math.floor(time.trueMs + ahead[kind] * 1000)
  const made: Scene = {
    clocks,
    ahead,
    pass (seconds, isSuspended = false) {
      time.trueMs += seconds * 1000
      if (!isSuspended) time.monotonicMs += seconds * 1000
    },
    async audit (...away) {
      for (const server of [redis, postgres].filter(({ kind }) => !away.includes(kind))) {
        await clocks.read(server, ask(server.kind))
      }
      clocks.conclude([redis, postgres])
    },
    kinds: () => clockFlaws(clocks.compare(), leewaySeconds).map(({ kind }) => kind)
  }
  await made.audit()
  return made
}

const isUnavailable = (t: Test, { clocks }: Scene) =>
  t.throws(
    () => { clocks.requireAgreement() }, { code: 'service_unavailable', statusCode: 503, retryAfterSeconds: 1 }
  )

t.test('a step of the own clock in either direction is found without a server, and no server is blamed', async t => {
  for (const seconds of [5.1, 8, 3_600, -5.1, -8, -3_600]) {
    const it = await scene()
    it.pass(9)
    it.ahead.own = seconds
    t.same(it.kinds(), ['own_clock'])
    isUnavailable(t, it)
    t.match(
      it.clocks.findFault()?.message,
      `this machine's clock is ${Math.abs(seconds).toFixed(1)} s ${seconds > 0 ? 'ahead of' : 'behind'} those of Redis and Postgres`
    )
    t.same(it.clocks.differences.map(({ clock, aheadSeconds }) => [clock, Math.round(aheadSeconds)]), [
      ['redis', Math.round(-seconds)], ['postgres', Math.round(-seconds)]
    ])
    await it.audit()
    t.same(it.kinds(), ['own_clock'], 'an audit says the same')
    it.ahead.own = 0
    t.same(it.kinds(), [])
    it.clocks.requireAgreement()
    t.equal(it.clocks.takeSetBack(), false)
  }
})

t.test('a token that was judged just before the clock was set right is not refused for its time', async t => {
  const it = await scene()
  t.equal(it.clocks.findRecentFault(), undefined)
  it.ahead.own = -3_600
  t.match(it.clocks.findRecentFault()?.message, /3600\.0 s behind/)
  it.ahead.own = 0
  t.match(it.clocks.findRecentFault()?.message, /3600\.0 s behind/, 'it may have been judged by the wrong clock')
  t.equal(it.clocks.findFault(), undefined, 'tokens are issued at once')
  it.pass(1.9)
  t.match(it.clocks.findRecentFault()?.message, /3600\.0 s behind/)
  it.pass(0.2)
  t.equal(it.clocks.findRecentFault(), undefined)
})

t.test('a step within the leeway is accepted, but is added to the difference from before', async t => {
  const it = await scene()
  for (const seconds of [4, -4]) {
    it.ahead.own = seconds
    it.pass(9)
    t.same(it.kinds(), [])
    it.clocks.requireAgreement()
    await it.audit()
    t.same(it.kinds(), [])
  }
  it.ahead.own = -8
  t.same(it.kinds(), ['own_clock'], 'four more seconds on the same side')
})

t.test('the clock of a server is wrong if the other server agrees with the own clock', async t => {
  for (const [kind, flaw] of [['redis', 'clock'], ['postgres', 'record_clock']] as const) {
    for (const seconds of [8, -8]) {
      const it = await scene()
      it.ahead[kind] = seconds
      t.same(it.kinds(), [], 'nobody has asked it')
      await it.audit()
      t.same(it.kinds(), [flaw])
      isUnavailable(t, it)
      t.notMatch(it.clocks.findFault()?.message, 'there', 'no address')
    }
  }
})

t.test('clocks of Redis and Postgres that differ stop the issuing of tokens, and nothing else', async t => {
  const it = await scene()
  Object.assign(it.ahead, { redis: 4, postgres: -4 })
  await it.audit()
  isUnavailable(t, it)
  t.equal(it.clocks.findFault()?.message, 'the clock of Redis is 8.0 s ahead of that of Postgres')
  t.same(it.kinds(), [])
})

t.test('clocks of Redis and Postgres that are set together are both wrong, as on one host (P2)', async t => {
  for (const seconds of [3_600, -3_600]) {
    const it = await scene()
    Object.assign(it.ahead, { redis: seconds, postgres: seconds })
    it.pass(10)
    await it.audit()
    t.same(it.kinds().sort(), ['clock', 'record_clock'])
    await it.audit()
    t.same(it.kinds().sort(), ['clock', 'record_clock'], 'for as long as it lasts')
    Object.assign(it.ahead, { redis: 0, postgres: 0 })
    await it.audit()
    t.same(it.kinds(), [])
    it.ahead.own = 8
    t.same(it.kinds(), ['own_clock'], 'and not for ever')
  }
})

t.test('a server clock that was ahead and is back is reported, even if the own clock moved too (P2)', async t => {
  const it = await scene()
  Object.assign(it.ahead, { own: 3_600, redis: 3_600, postgres: 3_600 })
  await it.audit()
  t.same([it.kinds(), it.clocks.takeSetBack()], [[], false])
  Object.assign(it.ahead, { own: 0, redis: 0, postgres: 0 })
  await it.audit()
  t.same([it.kinds(), it.clocks.takeSetBack(), it.clocks.takeSetBack()], [[], true, false])
})

t.test('a server clock is reported as set back only if that was more than the leeway (P2)', async t => {
  for (const [seconds, isSetBack] of [[5.2, true], [4.8, false]] as const) {
    const it = await scene()
    Object.assign(it.ahead, { own: seconds, redis: seconds, postgres: seconds })
    await it.audit()
    Object.assign(it.ahead, { own: 0, redis: 0, postgres: 0 })
    await it.audit()
    t.equal(it.clocks.takeSetBack(), isSetBack, `${seconds} s`)
  }
})

t.test('the time until a server answers is no difference between its clock and others', async t => {
  for (const readAfterMs of [0, 8_000]) {
    const it = await scene()
    await it.clocks.read(redis, async () => { it.pass(8); return epochMs + readAfterMs })
    t.same(it.kinds(), [], `the server has read its clock after ${readAfterMs} ms`)
    it.clocks.requireAgreement()
  }
})

t.test('a virtual machine continues after a suspension as soon as one server agrees with its clock', async t => {
  const it = await scene()
  it.pass(600, true)
  t.same(it.kinds(), ['own_clock'], 'until somebody was asked')
  await it.audit('postgres')
  t.same(it.kinds(), [], 'though Postgres is down')
  t.equal(it.clocks.takeSetBack(), false)
})

t.test('a server with a wrong clock counts as wrong while it is unreachable (P2)', async t => {
  const it = await scene()
  it.ahead.postgres = 8
  await it.audit()
  await it.audit('postgres')
  t.same(it.kinds(), ['record_clock'])
  await it.audit('redis')
  t.same(it.kinds(), ['record_clock'])
})

t.test('a corrected own clock is noticed while Postgres is down, and Postgres is not blamed', async t => {
  const it = await scene()
  it.ahead.own = 3_600
  await it.audit('postgres')
  t.same(it.kinds(), ['own_clock'])
  it.ahead.own = 0
  await it.audit('postgres')
  t.same(it.kinds(), [])
})

t.test('the listener is called once when clocks begin to differ, and once when they agree again', async t => {
  const it = await scene()
  const told: string[] = []
  it.clocks.start(dispute => { told.push(dispute?.description.slice(0, 20) ?? 'agree') })
  t.teardown(() => { it.clocks.stop() })
  it.ahead.own = 8
  t.ok(it.clocks.findFault())
  t.ok(it.clocks.findFault())
  it.ahead.own = 0
  t.equal(it.clocks.findFault(), undefined)
  t.same(told, ['this machine\'s clock', 'agree'])
})

t.test('drift is no difference, and a server that no longer has a shard is forgotten', async t => {
  const it = await scene(0)
  it.ahead.own = 0.005
  it.pass(10)
  t.same(it.kinds(), [], 'five milliseconds in ten seconds')
  const far: ClockReading = { atLeastMs: 0, atMostMs: 1, readAtMs: 0 }
  it.clocks.note({ kind: 'redis', at: 'another' }, far)
  isUnavailable(t, it)
  it.clocks.conclude([redis, postgres])
  t.same(it.kinds(), [])
})
