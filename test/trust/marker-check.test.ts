import t from 'tap'
import { formatMarker } from '../../src/record/marker.ts'
import { createMarkerCheck } from '../../src/trust/marker-check.ts'

const recordId = '00000000-0000-4000-8000-000000000001'
const marker = (position: number) => formatMarker({ recordId, position })
const pollMs = 900

/** A check that trusts a marker at 5, and a record whose head is at 6 from now on. */
function scene () {
  const start = 1_000_000
  let now = start
  const judge = createMarkerCheck(() => now)
  const read = (position: number, ask = judge.ask()) => { judge.learn({ recordId, position, marked: position }, ask) }
  const isTrusted = (position: number) => judge.findFlaw(judge.look(), marker(position)) === undefined
  read(5)
  isTrusted(5)
  return {
    judge,
    read,
    isTrusted,
    pass (ms: number) { now += ms },
    /**
     * Reads the head at a fixed rate, and looks up the old marker all the time. Returns for how many milliseconds the
     * marker was trusted.
     */
    untilDistrusted ({ tookMs = 0, fails = (poll: number) => poll < 0 } = {}): number {
      const asked: Array<{ ask: ReturnType<typeof judge.ask>, answered: number }> = []
      for (let ms = 0; ms <= 60_000; ms += 10, now += 10) {
        const poll = ms / pollMs
        // The first one is just too early to see the new head.
        if (poll > 0 && Number.isInteger(poll) && !fails(poll)) asked.push({ ask: judge.ask(), answered: ms + tookMs })
        while (asked[0] !== undefined && asked[0].answered <= ms) read(6, asked.shift()?.ask)
        if (!isTrusted(5)) return ms
      }
      return Infinity
    }
  }
}

t.test('a marker that no longer moves is trusted for less than 5 s after the head has moved on (P1)', async t => {
  t.ok(scene().untilDistrusted() < 4_600)
  for (const tookMs of [100, 500, 1_000, 1_500, 2_000]) {
    const trustedMs = scene().untilDistrusted({ tookMs })
    t.ok(trustedMs < 5_000, `${trustedMs} ms, where reading the head takes ${tookMs} ms`)
  }
})

t.test('occasional failures to read the head do not keep a marker trusted for ever (P1)', async t => {
  for (const every of [2, 3, 4]) {
    for (let first = 0; first < every; first++) {
      const trustedMs = scene().untilDistrusted({ fails: poll => poll % every === first })
      // The time in which the head could not be read comes on top.
      t.ok(trustedMs < 5_000 + 2 * pollMs, `${trustedMs} ms, where one of ${every} fails`)
    }
  }
})

t.test('a marker behind an old head is untrusted, and a marker that reaches the head is trusted at once', async t => {
  const { read, isTrusted, pass } = scene()
  read(8)
  for (let poll = 0; poll < 3; poll++) { pass(pollMs); read(8) }
  pass(799)
  t.ok(isTrusted(5), 'it has three and a half seconds')
  pass(1)
  t.notOk(isTrusted(5))
  t.notOk(isTrusted(7))
  t.ok(isTrusted(8))
})

t.test('an unreadable record does not end the trust in a marker, even if its head was not reached yet', async t => {
  const { read, isTrusted, pass } = scene()
  read(6)
  pass(pollMs)
  read(6)
  for (let second = 0; second < 60; second++) { pass(1_000); t.ok(isTrusted(5)) }
  read(6)
  t.ok(isTrusted(5), 'nor when it can be read again: whoever keeps up the blocklist could not read it either')
  for (let poll = 0; poll < 2; poll++) { pass(pollMs); read(6); t.ok(isTrusted(5)) }
  pass(pollMs)
  t.notOk(isTrusted(5))
})

t.test('a record that got another id is compared anew, and no look-up from before that counts (P2)', async t => {
  const { judge } = scene()
  const renamed = '00000000-0000-4000-8000-000000000002'
  const early = judge.look()
  judge.learn({ recordId: renamed, position: 6, marked: 6 }, judge.ask())
  t.equal(judge.isWaiting, true)
  t.ok(judge.findFlaw(early, formatMarker({ recordId: renamed, position: 6 })))
  t.equal(judge.findFlaw(judge.look(), formatMarker({ recordId: renamed, position: 6 })), undefined)
})

t.test('a marker that waits has to reach the lowest head that was read, since a restore may have lost it', async t => {
  const { judge, read, isTrusted } = scene()
  judge.forget()
  read(8)
  read(6)
  t.notOk(isTrusted(5))
  t.ok(isTrusted(6))
})

t.test('a head from before a new connection is not required after it', async t => {
  const { judge, read, isTrusted, pass } = scene()
  read(8)
  judge.forget()
  read(6)
  t.ok(isTrusted(6))
  for (let poll = 0; poll < 5; poll++) { pass(pollMs); read(6) }
  t.ok(isTrusted(6))
})
