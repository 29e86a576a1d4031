import t from 'tap'
import { createHeadPoll } from '../../src/trust/head-poll.ts'
import { createStanding } from '../../src/trust/standing.ts'
import type { Head } from '../../src/record/record.ts'
import { endingAt } from '../support/record.ts'
import { until } from '../support/wait.ts'
import { at, ours, standingScene, theirs } from './standing-scene.ts'

t.test('no answer counts before the comparison with the record, and then an answer at its head does', async t => {
  const { ask, standing, told, untilCompared } = await standingScene(t)
  t.match(ask(at(5)), 'not been compared')
  await untilCompared()
  t.match(ask(at(4)), 'behind the record')
  t.equal(ask(at(5)), undefined)
  t.equal(standing.trust, 'trusted')
  t.same(told, ['trusts'])
  t.same(standing.positions, { head: 5, marker: 5 })
})

t.test('after a reconnect no answer counts until the head was read again and is reached', async t => {
  const { ask, standing, record, database, untilTrusted } = await standingScene(t)
  await untilTrusted(at(5))
  const before = standing.look()
  database.isDown = true
  Object.assign(record, { position: 7, marked: 7 })
  standing.connectionChanged()
  t.match(ask(at(7)), 'not been compared')
  await new Promise(resolve => setTimeout(resolve, 250))
  t.match(ask(at(7)), 'not been compared', 'however long the database is down')
  database.isDown = false
  await until('it was compared', () => /behind/.test(String(ask(at(5)))))
  t.equal(ask(at(7)), undefined)
  t.throws(
    () => {
      standing.accept(before, at(7))
    },
    { message: /connection to the blocklist changed/ },
    'nor what was asked on the one before'
  )
})

t.test('a head that was being read when the connection changed does not count', async t => {
  const reads: Array<(head: Head) => void> = []
  const heads = createHeadPoll(endingAt(() => new Promise(resolve => { reads.push(resolve) })))
  const standing = createStanding({ heads })
  t.teardown(() => { heads.stop() })
  heads.start()
  await until('it asks', () => reads.length === 1)
  standing.connectionChanged()
  reads[0]?.({ recordId: ours, position: 0, marked: 0 })
  await new Promise(resolve => setImmediate(resolve))
  t.throws(() => { standing.accept(standing.look(), at(0)) }, { message: /not been compared/ })
  await until('it asks again', () => reads.length === 2)
  reads[1]?.({ recordId: ours, position: 1, marked: 1 })
  await new Promise(resolve => setImmediate(resolve))
  t.equal(standing.accept(standing.look(), at(0)), 0, 'it is behind')
  standing.accept(standing.look(), at(1))
})

t.test('a missing marker, a draft, another record or an earlier marker ends the trust until a comparison', async t => {
  const { ask, told, untilTrusted } = await standingScene(t)
  for (const [marker, reason] of [
    [null, /lost its marker/],
    [`draft-${theirs}:5`, /lost its marker/],
    ['', /lost its marker/],
    [at(9, theirs), /another record/],
    [at(4), /gone back/]
  ] as const) {
    await untilTrusted(at(5))
    t.match(ask(marker), reason)
    t.match(ask(at(5)), 'not been compared')
  }
  t.equal(told.filter(line => line !== 'trusts').length, 5)
})

t.test('a restored record that was written to an empty Redis is trusted, although it ends earlier', async t => {
  const stage = await standingScene(t, { position: 1_000, marked: 1_000 })
  const { ask, record, untilTrusted } = stage
  await untilTrusted(at(1_000))
  Object.assign(record, { position: 900, marked: 900 })
  t.match(ask(null), 'lost its marker')
  await untilTrusted(at(900))
  t.match(ask(at(899)), 'gone back', 'from then on it may not go back')
})

t.test('a look-up that was sent before another one saw a later marker is no step back', async t => {
  const { standing, ask, untilTrusted } = await standingScene(t)
  await untilTrusted(at(5))
  const early = standing.look()
  t.equal(ask(at(6)), undefined)
  standing.accept(early, at(5))
  t.match(ask(at(5)), 'gone back', 'one that was sent after it has')
})

t.test('a marker beyond the marks in the record is untrusted until the record has that mark', async t => {
  const { ask, standing, record, untilCompared, untilTrusted, database } = await standingScene(t)
  await untilCompared()
  const look = standing.look()
  t.equal(standing.accept(look, at(6)), 6, 'the record is asked')
  t.throws(() => { standing.confirm(look, 6, { ...record }) }, { message: /beyond what the record has/ })
  const { reads } = database
  await until('the record is read again', () => database.reads > reads + 1)
  t.equal(ask(at(6)), 'It is behind the record.', 'since the record still knows nothing of it')
  Object.assign(record, { position: 6, marked: 6 })
  await untilTrusted(at(6))
  t.equal(ask(at(7)), undefined, 'later it may move on without being compared')
})

t.test('a growing record does not delay the trust: a marker that reaches its first head is enough', async t => {
  const { ask, record, database, untilCompared } = await standingScene(t)
  await untilCompared()
  Object.assign(record, { position: 7, marked: 6 })
  t.equal(ask(at(6)), 'It is behind the record.')
  const { reads } = database
  await until('it is read again', () => database.reads > reads + 1 || ask(at(6)) === undefined)
  t.equal(ask(at(6)), undefined, 'the marker has moved since, and is behind the head already')
})

t.test('a record with another name ends the trust', async t => {
  const { ask, record, untilTrusted } = await standingScene(t)
  await untilTrusted(at(5))
  Object.assign(record, { recordId: theirs, position: 2, marked: 0 })
  await until('it is noticed', () => ask(at(5)) !== undefined)
  await until('it was compared', () => /another record|compared/.test(String(ask(at(5)))))
  t.match(ask(at(5)), /another record|compared/)
  record.marked = 2
  await untilTrusted(at(2, theirs))
})

t.test('suspended trust refuses every marker, and a comparison has to follow', async t => {
  const { ask, standing, untilTrusted } = await standingScene(t)
  await untilTrusted(at(5))
  standing.suspend('It evicts.')
  t.equal(ask(at(5)), 'It evicts.')
  standing.suspend(undefined)
  t.match(ask(at(5)), 'not been compared')
  await untilTrusted(at(5))
})

t.test('a look-up that was sent while trust was suspended does not count after it (P2)', async t => {
  const { standing, database, untilTrusted } = await standingScene(t)
  await untilTrusted(at(5))
  standing.suspend('It evicts.')
  const { reads } = database
  await until('the head is known again', () => database.reads > reads + 1)
  const look = standing.look()
  standing.suspend(undefined)
  t.throws(
    () => {
      standing.accept(look, at(5))
    },
    { message: /changed meanwhile/ },
    'Redis may have answered it before it was rebuilt'
  )
  await untilTrusted(at(5))
})

t.test('a clock that is set back does not prevent the comparison', async t => {
  const { now } = Date
  let setBackMs = 0
  Date.now = () => now() - setBackMs
  t.teardown(() => { Date.now = now })
  const heads = createHeadPoll(endingAt(async () => ({ recordId: ours, position: 0, marked: 0 })))
  const standing = createStanding({ heads })
  t.teardown(() => { heads.stop() })
  heads.start()
  const trusts = () => { try { standing.accept(standing.look(), at(0)); return true } catch { return false } }
  await until('it trusts', trusts)
  setBackMs = 3_600_000
  standing.connectionChanged()
  await until('it trusts again', trusts)
  t.equal(standing.trust, 'trusted')
})

t.test('an untrusted blocklist gives a Retry-After of at most a minute, by the progress of a rebuild', async t => {
  const { standing } = await standingScene(t)
  const retryAfter = (remainingSeconds?: number) => {
    standing.noteProgress(remainingSeconds === undefined ? undefined : { done: 1, total: 2, remainingSeconds })
    try {
      standing.accept(standing.look(), null)
    } catch (error) {
      return (error as { retryAfterSeconds: number }).retryAfterSeconds
    }
    return undefined
  }
  t.same([retryAfter(), retryAfter(0.2), retryAfter(7.1), retryAfter(900)], [1, 1, 8, 60])
})

t.test('a compared shard refuses recorded revocations early while another shard waits to be compared', async t => {
  const asked: number[] = []
  const head = { recordId: ours, position: 5, marked: 5 }
  const record = endingAt(async () => head)
  const heads = createHeadPoll({
    ...record,
    readAfter: async position => {
      asked.push(position)
      return { ...head, recent: [{ scope: 'token', id: 'a', ageSeconds: 1 }] }
    }
  })
  t.teardown(() => { heads.stop() })
  const [compared] = [createStanding({ heads }), createStanding({ heads })]
  heads.start()
  await until('one shard is compared', () => {
    try {
      return compared.accept(compared.look(), at(5)) === undefined
    } catch {
      return false
    }
  })
  await until('the rows are read', () => heads.recent.has('jti:a'))
  t.ok(asked.every(position => position === 5), 'from the marker of the shard that is compared')
})

t.test('an answer behind the head counts by the record, unless record or trust have changed since (P2)', async t => {
  const { standing, record, told, ask } = await standingScene(t)
  await until('it was compared', () => ask(at(4)) === 'It is behind the record.')
  const look = standing.look()
  const confirm = (change: Partial<Head> = {}) => { standing.confirm(look, 4, { ...record, ...change }) }
  t.equal(standing.accept(look, at(4)), 4)
  confirm()
  confirm({ position: 5_004, marked: 4 })
  t.same([standing.trust, told], ['behind', ['behind']])
  t.throws(() => { confirm({ recordId: theirs }) }, { message: /another record/ })
  t.throws(() => { confirm({ marked: 3 }) }, { message: /beyond what the record has/ })
  t.throws(() => { confirm({ position: 5_005 }) }, { message: /too far behind/, isRebuilding: true })
  t.equal(standing.trust, 'untrusted')
  standing.suspend('It evicts.')
  t.throws(() => { confirm() }, { message: 'It evicts.' })
  standing.suspend(undefined)
  t.throws(
    () => {
      confirm()
    },
    { message: /connection to the blocklist changed/ },
    'what was asked before the flaw was found'
  )
})
