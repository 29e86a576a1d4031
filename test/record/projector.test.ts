import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { createEmbeddedBlocklist } from '../../src/blocklist/embedded.ts'
import type { Projection } from '../../src/record/projection.ts'
import type { Head, LoggedRevocation, RevocationLog } from '../../src/record/record.ts'
import { createTail, type Replay, type Tail } from '../../src/record/projector.ts'
import { nowSeconds } from '../support/tokens.ts'
import { endingAt } from '../support/record.ts'
import { until } from '../support/wait.ts'

const expiresAt = nowSeconds() + 60

interface Scene {
  tail: Tail
  rows: LoggedRevocation[]
  head: Head
  /** Whether the lease can be had. */
  lease: { isFree: boolean, holders: string[], released: number }
  replays: Replay[]
  failures: unknown[]
  renamed: number
  /** Is called before a step is made, and may keep it from being made. */
  meddle: { advance?: ((from: string, to: string, next: Projection['advance']) => Promise<boolean>) | undefined, settle?: (() => void) | undefined, count?: () => void }
  /** What the blocklist says of a token that was revoked in the row with that position. */
  isRevoked (position: number): boolean | Promise<boolean>
  projection: Projection
  append (count: number): void
  calls: string[]
}

/** A tail over a record that is an array, and a blocklist in memory. */
function scene (t: Test): Scene {
  const { blocklist, projection } = createEmbeddedBlocklist({ leewaySeconds: 5 })
  const meddle: Scene['meddle'] = {}
  const rows: LoggedRevocation[] = []
  const head = { logId: randomUUID(), position: 0, marked: 0 }
  const lease = { isFree: true, holders: [] as string[], released: 0 }
  const calls: string[] = []
  const inRange = ({ after, upTo }: { after: number, upTo: number }) => rows.filter(({ position }) => position > after && position <= upTo)
  const log: RevocationLog = {
    ...endingAt(async () => ({ ...head })),
    async settleHead () { calls.push('settle'); meddle.settle?.(); return { ...head } },
    async willMark ({ logId, position }) {
      calls.push(`mark ${position}`)
      head.marked = Math.max(head.marked, position)
      return logId === head.logId
    },
    async readLive (range, limit) {
      const page = inRange(range).slice(0, limit)
      return { rows: page, next: page.length === limit ? page.at(-1)?.position : undefined }
    },
    readClock: async () => Date.now(),
    async countRows (range) { meddle.count?.(); return inRange(range).length },
    listIds: async () => [head.logId],
    hasToken: async () => false,
    async rename (from) { if (from === head.logId) Object.assign(head, { logId: randomUUID(), marked: 0 }); return true },
    async lease (holder) { if (lease.isFree) lease.holders.push(holder); return lease.isFree },
    async release () { lease.released++ }
  }
  const scene = { rows, head, lease, meddle, calls, projection, replays: [] as Replay[], failures: [] as unknown[], renamed: 0 }
  const watched: Projection = {
    ...projection,
    advance: (from, to, revocations) => meddle.advance?.(from, to, () => projection.advance(from, to, revocations)) ?? projection.advance(from, to, revocations)
  }
  const tail = createTail({
    log,
    shards: [{ projection: watched, includes: () => true }],
    onCaughtUp: replay => { scene.replays.push(replay) },
    onLogRenamed: () => { scene.renamed++ },
    onFailure: error => { scene.failures.push(error) }
  })
  t.teardown(() => tail.stop())
  return Object.assign(scene, {
    tail,
    isRevoked: (position: number) => blocklist.isRevoked({ jti: String(position) }),
    append (count: number) {
      for (let added = 0; added < count; added++) rows.push({ position: ++head.position, scope: 'token', id: String(head.position), expiresAt })
    }
  })
}

t.test('the first round fills the blocklist, which answers nothing before, and later ones write what is new', async t => {
  const { tail, append, isRevoked, replays } = scene(t)
  append(3)
  t.throws(() => isRevoked(1), { name: 'UntrustedError' })
  await tail.round()
  t.same([isRevoked(1), isRevoked(3), isRevoked(4)], [true, true, false])
  append(2)
  await tail.round()
  t.same([isRevoked(4), isRevoked(5)], [true, true])
  await tail.round()
  t.same(replays.map(({ from, to, entries }) => [from?.position, to.position, entries]), [[undefined, 3, 3], [3, 5, 2]], 'and nothing when there is nothing new')
})

t.test('the head is read behind the barrier and recorded before anything is written', async t => {
  const { tail, append, calls, meddle } = scene(t)
  append(2)
  meddle.advance = (from, to, next) => { calls.push('write'); return next(from, to, []) }
  await tail.round()
  t.same(calls, ['settle', 'mark 2', 'write', 'write'])
})

t.test('a record of many pages is written in steps, each from where the one before it left off', async t => {
  const { tail, append, isRevoked, meddle, replays } = scene(t)
  append(11_001)
  const steps: Array<[string, string]> = []
  meddle.advance = (from, to, next) => { steps.push([from, to]); return next(from, to, []) }
  await tail.round()
  t.equal(steps.length, 13, 'a thousand at a time, and the marker')
  for (let step = 1; step < steps.length; step++) t.equal(steps[step]?.[0], steps[step - 1]?.[1])
  t.match(steps[0]?.[0], /^claim-.*:0$/)
  t.match(steps.at(-1)?.[0], /^claim-.*:11001$/, 'it is a claim until the end')
  t.equal(replays[0]?.entries, 11_001)
  t.same([1, 1_000, 1_001, 5_001, 11_001].map(isRevoked), [true, true, true, true, true])
})

t.test('a record whose rows take too long to count is replayed all the same', async t => {
  const { tail, append, isRevoked, meddle, failures } = scene(t)
  append(6_000)
  meddle.count = () => { throw new Error('canceling statement due to statement timeout') }
  await tail.round()
  t.equal(isRevoked(6_000), true)
  t.same(failures, [])
})

t.test('while another has the lease, a round does nothing', async t => {
  const { tail, append, isRevoked, lease, calls, failures } = scene(t)
  append(1)
  lease.isFree = false
  await tail.round()
  t.throws(() => isRevoked(1), { name: 'UntrustedError' })
  t.same(calls, [])
  t.same(failures, [])
  lease.isFree = true
  await tail.round()
  t.equal(isRevoked(1), true)
  lease.isFree = false
  await tail.round()
  await tail.stop()
  t.equal(lease.released, 0, 'what it does not have it does not give back')
})

t.test('a step that is refused ends the round, and the next one starts over, soon', async t => {
  const { tail, append, isRevoked, meddle, projection, head, replays } = scene(t)
  append(2_500)
  let steps = 0
  meddle.advance = async (from, to, next) => {
    if (++steps === 2) {
      // Somebody has emptied the blocklist, and another tail has begun.
      await projection.forgetMarker()
      await projection.begin(head.logId, `claim-${randomUUID()}:0`)
    }
    return await next(from, to, [])
  }
  await tail.round()
  t.equal(replays.length, 0)
  t.throws(() => isRevoked(1), { name: 'UntrustedError' }, 'half of it is nothing')
  tail.start()
  await until('it has started over', () => replays.length === 1, 900)
  t.same([isRevoked(1), isRevoked(2_500)], [true, true])
})

t.test('a record that gets another name in mid-round ends it', async t => {
  const { tail, append, isRevoked, meddle, head, replays } = scene(t)
  append(1)
  meddle.settle = () => { head.logId = randomUUID() }
  await tail.round()
  t.throws(() => isRevoked(1), { name: 'UntrustedError' })
  meddle.settle = undefined
  await tail.round()
  t.equal(isRevoked(1), true)
  t.equal(replays[0]?.to.logId, head.logId)
})

t.test('a record that has lost its end gets another name, and everything is written again', async t => {
  const scenery = scene(t)
  const { tail, append, isRevoked, rows, head, replays } = scenery
  append(5)
  await tail.round()
  const { logId } = head
  rows.splice(3)
  Object.assign(head, { position: 3, marked: 3 })
  await tail.round()
  t.equal(scenery.renamed, 1)
  t.not(head.logId, logId)
  append(1)
  await tail.round()
  t.same(replays.map(({ from, to }) => [from?.position, to.position]), [[undefined, 5], [undefined, 4]])
  t.same([1, 4, 5].map(isRevoked), [true, true, true], 'what the record has lost is not removed')
})

t.test('a marker beyond the head is no reason for alarm when it was recorded that it would be there', async t => {
  const scenery = scene(t)
  const { tail, append, head } = scenery
  append(3)
  await tail.round()
  head.position = 2
  await tail.round()
  t.equal(scenery.renamed, 0)
  t.ok(scenery.replays.length >= 1)
})

t.test('what keeps it from its work is told once, until it works again, and the lease is given back', async t => {
  const { tail, meddle, append, failures, isRevoked, lease } = scene(t)
  append(1)
  meddle.settle = () => { throw new Error('The database is away.') }
  await tail.round()
  await tail.round()
  t.equal(failures.length, 1)
  t.equal(lease.released, 2, 'and another may try')
  meddle.settle = undefined
  await tail.round()
  t.equal(isRevoked(1), true)
  append(1)
  meddle.settle = () => { throw new Error('It is away again.') }
  await tail.round()
  t.equal(failures.length, 2)
})

t.test('a tail that is woken does not wait for its turn, and one that has stopped gives the lease back and rests', async t => {
  const { tail, append, replays, lease } = scene(t)
  tail.start()
  await until('the first round', () => lease.holders.length >= 1)
  append(1)
  tail.wake()
  await until('the next one', () => replays.some(({ to }) => to.position === 1), 800)
  await tail.stop()
  t.equal(lease.released, 1)
  const rounds = lease.holders.length
  tail.wake()
  await new Promise(resolve => setTimeout(resolve, 120))
  t.equal(lease.holders.length, rounds)
})

t.test('a tail that is stopped leaves a rebuild at its next page, and gives the lease back', async t => {
  const { tail, append, isRevoked, meddle, replays, failures, lease } = scene(t)
  append(20_000)
  let steps = 0
  let stopped: Promise<void> | undefined
  meddle.advance = (from, to, next) => {
    if (++steps === 1) stopped = tail.stop()
    return next(from, to, [])
  }
  await tail.round()
  await stopped
  t.equal(steps, 5, 'the page that it was at')
  t.same([replays, failures, lease.released], [[], [], 1])
  t.throws(() => isRevoked(1), { name: 'UntrustedError' }, 'what is not finished counts for nothing')
})
