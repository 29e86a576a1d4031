import { randomUUID } from 'node:crypto'
import t from 'tap'
import { until } from '../support/wait.ts'
import { projectorScene } from './projector-scene.ts'

t.test('the first round fills the blocklist, which is untrusted before, and later rounds write new rows', async t => {
  const { projector, append, isRevoked, catchUps } = projectorScene(t)
  append(3)
  t.throws(() => isRevoked(1), { name: 'UntrustedError' })
  await projector.round()
  t.same([isRevoked(1), isRevoked(3), isRevoked(4)], [true, true, false])
  append(2)
  await projector.round()
  t.same([isRevoked(4), isRevoked(5)], [true, true])
  await projector.round()
  t.same(
    catchUps.map(({ from, to, entries }) => [from?.position, to.position, entries]),
    [
      [undefined, 3, 3],
      [3, 5, 2]
    ],
    'and nothing when there is nothing new'
  )
})

t.test('the head is read behind the barrier and recorded before anything is written', async t => {
  const { projector, append, calls, meddle } = projectorScene(t)
  append(2)
  meddle.advance = (from, to, next) => { calls.push('write'); return next(from, to, []) }
  await projector.round()
  t.same(calls, ['settle 2', 'write', 'write'])
})

t.test('a record of many pages is written in steps, and each starts where the one before it ended', async t => {
  const { projector, append, isRevoked, meddle, catchUps } = projectorScene(t)
  append(11_001)
  const steps: Array<[string, string]> = []
  meddle.advance = (from, to, next) => { steps.push([from, to]); return next(from, to, []) }
  await projector.round()
  t.equal(steps.length, 13, 'a thousand at a time, and the marker')
  for (let step = 1; step < steps.length; step++) t.equal(steps[step]?.[0], steps[step - 1]?.[1])
  t.match(steps[0]?.[0], /^draft-.*:0$/)
  t.match(steps.at(-1)?.[0], /^draft-.*:11001$/, 'it is a draft until the end')
  t.equal(catchUps[0]?.entries, 11_001)
  t.same([1, 1_000, 1_001, 5_001, 11_001].map(isRevoked), [true, true, true, true, true])
})

t.test('a rebuild succeeds even if it takes too long to count the rows of the record', async t => {
  const { projector, append, isRevoked, meddle, failures } = projectorScene(t)
  append(6_000)
  meddle.count = () => { throw new Error('canceling statement due to statement timeout') }
  await projector.round()
  t.equal(isRevoked(6_000), true)
  t.same(failures, [])
})

t.test('a round does nothing while another projector has the lease', async t => {
  const { projector, append, isRevoked, lease, calls, failures } = projectorScene(t)
  append(1)
  lease.isFree = false
  await projector.round()
  t.throws(() => isRevoked(1), { name: 'UntrustedError' })
  t.same(calls, [])
  t.same(failures, [])
  lease.isFree = true
  await projector.round()
  t.equal(isRevoked(1), true)
  lease.isFree = false
  await projector.round()
  await projector.stop()
  t.equal(lease.released, 0, 'what it does not have it does not give back')
})

t.test('a refused step ends the round, and the next round starts over soon', async t => {
  const { projector, append, isRevoked, meddle, projection, head, catchUps } = projectorScene(t)
  append(2_500)
  let steps = 0
  meddle.advance = async (from, to, next) => {
    if (++steps === 2) {
      // Another program has emptied the blocklist, and another projector has begun.
      await projection.forgetMarker()
      await projection.begin(head.recordId, `draft-${randomUUID()}:0`)
    }
    return await next(from, to, [])
  }
  await projector.round()
  t.equal(catchUps.length, 0)
  t.throws(() => isRevoked(1), { name: 'UntrustedError' }, 'half of it is nothing')
  projector.start()
  await until('it has started over', () => catchUps.length === 1)
  t.same([isRevoked(1), isRevoked(2_500)], [true, true])
})

t.test('a round ends if the record gets another name during the round', async t => {
  const { projector, append, isRevoked, meddle, head, catchUps } = projectorScene(t)
  append(1)
  meddle.settle = () => { head.recordId = randomUUID() }
  await projector.round()
  t.equal(catchUps.length, 0, 'it writes nothing')
  t.throws(() => isRevoked(1), { name: 'UntrustedError' })
  meddle.settle = undefined
  await projector.round()
  t.equal(isRevoked(1), true)
  t.equal(catchUps[0]?.to.recordId, head.recordId)
})

t.test('a record that has lost its end gets another name, and is written again from the start', async t => {
  const scenery = projectorScene(t)
  const { projector, append, isRevoked, rows, head, catchUps } = scenery
  append(5)
  await projector.round()
  const { recordId } = head
  rows.splice(3)
  Object.assign(head, { position: 3, marked: 3 })
  await projector.round()
  t.equal(scenery.renamed, 1)
  t.not(head.recordId, recordId)
  append(1)
  await projector.round()
  t.same(catchUps.map(({ from, to }) => [from?.position, to.position]), [[undefined, 5], [undefined, 4]])
  t.same([1, 4, 5].map(isRevoked), [true, true, true], 'what the record has lost is not removed')
})

t.test('a marker beyond the head is accepted if the record says that it was to be there', async t => {
  const scenery = projectorScene(t)
  const { projector, append, head } = scenery
  append(3)
  await projector.round()
  head.position = 2
  await projector.round()
  t.equal(scenery.renamed, 0)
  t.same(scenery.catchUps.map(({ from, to }) => [from?.position, to.position]), [[undefined, 3]])
})

t.test('a failure of the projector is reported once until it works again, and the lease is released', async t => {
  const { projector, meddle, append, failures, isRevoked, lease } = projectorScene(t)
  append(1)
  meddle.settle = () => { throw new Error('The database is down.') }
  await projector.round()
  await projector.round()
  t.equal(failures.length, 1)
  t.equal(lease.released, 2, 'and another may try')
  meddle.settle = undefined
  await projector.round()
  t.equal(isRevoked(1), true)
  append(1)
  meddle.settle = () => { throw new Error('It is down again.') }
  await projector.round()
  t.equal(failures.length, 2)
})

t.test('a woken projector starts a round at once, and a stopped one releases its lease and rests', async t => {
  const { projector, append, catchUps, lease } = projectorScene(t)
  projector.start()
  await until('the first round', () => lease.holders.length >= 1)
  append(1)
  projector.wake()
  await until('the next one', () => catchUps.some(({ to }) => to.position === 1), 800)
  await projector.stop()
  t.equal(lease.released, 1)
  const rounds = lease.holders.length
  projector.wake()
  await new Promise(resolve => setTimeout(resolve, 120))
  t.equal(lease.holders.length, rounds)
})

t.test('a stopped projector leaves a rebuild at the next page, and releases its lease', async t => {
  const { projector, append, isRevoked, meddle, catchUps, failures, lease } = projectorScene(t)
  append(20_000)
  let steps = 0
  let stopped: Promise<void> | undefined
  meddle.advance = (from, to, next) => {
    if (++steps === 1) stopped = projector.stop()
    return next(from, to, [])
  }
  await projector.round()
  await stopped
  t.equal(steps, 5, 'the page that it was at')
  t.same([catchUps, failures, lease.released], [[], [], 1])
  t.throws(() => isRevoked(1), { name: 'UntrustedError' }, 'what is not finished counts for nothing')
})
