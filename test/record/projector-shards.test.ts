import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { createBlocklistEvents } from '../../src/events/blocklist-events.ts'
import { createEmbeddedBlocklist } from '../../src/blocklist/embedded.ts'
import { createHeadPoll } from '../../src/trust/head-poll.ts'
import { createStanding } from '../../src/trust/standing.ts'
import type { Projection } from '../../src/record/projection.ts'
import type { RecordRow, RevocationRecord } from '../../src/record/record.ts'
import { createProjector, type Projector } from '../../src/record/projector.ts'
import { nowSeconds } from '../support/tokens.ts'
import { timed, until } from '../support/wait.ts'
import { endingAt } from '../support/record.ts'

interface Shard {
  isRevoked (position: number): boolean
  /** Is called before a step is made, and may keep it from being made. */
  meddle: (() => Promise<void> | void) | undefined
  steps: Array<[string, string]>
  forget (): Promise<void>
}

interface ProjectorScene {
  projector: Projector
  odd: Shard
  even: Shard
  failures: unknown[]
  /** The number of pages of the record that were read. */
  pages: number
  /** Adds rows, of which those with an odd position belong to one shard and those with an even one to the other. */
  append (count: number): void
  /** Adds a row with an unknown subject. */
  appendForAll (): void
}

const expiresAt = nowSeconds() + 60

function projectorScene (t: Test): ProjectorScene {
  const rows: RecordRow[] = []
  const head = { recordId: randomUUID(), position: 0, marked: 0 }
  const inRange = ({ after, upTo }: { after: number; upTo: number }) =>
    rows.filter(({ position }) => position > after && position <= upTo)
  const make = (): { shard: Shard, projection: Projection } => {
    const { blocklist, projection } = createEmbeddedBlocklist({ leewaySeconds: 5 })
    const shard: Shard = {
      isRevoked: position => blocklist.isRevoked({ jti: String(position) }) as boolean,
      meddle: undefined,
      steps: [],
      forget: () => projection.forgetMarker()
    }
    return {
      shard,
      projection: {
        ...projection,
        async begin (...args) {
          await shard.meddle?.()
          return await projection.begin(...args)
        },
        async advance (from, to, ...rest) {
          shard.steps.push([from, to])
          await shard.meddle?.()
          return await projection.advance(from, to, ...rest)
        }
      }
    }
  }
  const [odd, even] = [make(), make()]
  const scene = { odd: odd.shard, even: even.shard, failures: [] as unknown[], pages: 0 }
  const record: RevocationRecord = {
    ...endingAt(async () => ({ ...head })),
    async settleHead () { head.marked = Math.max(head.marked, head.position); return { ...head } },
    async readLive (range, limit) {
      scene.pages++
      const page = inRange(range).slice(0, limit)
      return { rows: page, next: page.length === limit ? page.at(-1)?.position : undefined }
    },
    countRows: async range => inRange(range).length,
    readClock: async () => Date.now(),
    listNames: async () => [head.recordId],
    hasToken: async () => false,
    rename: async () => true,
    lease: async () => true,
    release: async () => {}
  }
  const events = createBlocklistEvents()
  events.on('projectorFailed', error => { scene.failures.push(error) })
  const projector = createProjector({
    record,
    shards: [
      { projection: odd.projection, includes: ({ subject }) => subject !== 'even' },
      { projection: even.projection, includes: ({ subject }) => subject !== 'odd' }
    ],
    events
  })
  t.teardown(() => projector.stop())
  const add = (subject?: string) => {
    rows.push({
      position: ++head.position,
      scope: 'token',
      id: String(head.position),
      expiresAt,
      ...(subject !== undefined && { subject })
    })
  }
  return Object.assign(scene, {
    projector,
    append (count: number) {
      for (let added = 0; added < count; added++) add(head.position % 2 === 0 ? 'odd' : 'even')
    },
    appendForAll () { add() }
  })
}

t.test('each shard gets its rows and those of unknown subjects, and the record is read once for all', async t => {
  const scenery = projectorScene(t)
  const { projector, odd, even, append, appendForAll } = scenery
  append(4)
  appendForAll()
  await projector.round()
  t.same([1, 2, 3, 4, 5].map(odd.isRevoked), [true, false, true, false, true])
  t.same([1, 2, 3, 4, 5].map(even.isRevoked), [false, true, false, true, true])
  t.equal(scenery.pages, 1)
})

t.test('each shard continues from its own last step, and both end at the head', async t => {
  const { projector, odd, even, append } = projectorScene(t)
  append(12_001)
  await projector.round()
  append(2)
  await projector.round()
  for (const { steps } of [odd, even]) {
    for (let step = 1; step < steps.length; step++) {
      // The first rebuild ends with the marker, from which the next one goes on.
      t.equal(steps[step]?.[0], steps[step - 1]?.[1])
    }
    t.match(steps.at(-1)?.[1], /:12003$/)
  }
})

t.test('a shard that is unreachable at the start or mid-way delays no other shard, and catches up later', async t => {
  const { projector, odd, even, append, failures } = projectorScene(t)
  append(10)
  odd.meddle = () => { throw new Error('It is down.') }
  await projector.round()
  t.equal(even.isRevoked(2), true)
  t.throws(() => odd.isRevoked(1), { name: 'UntrustedError' })
  t.equal(failures.length, 1)
  let asked = 0
  odd.meddle = () => { if (++asked === 2) throw new Error('It went away.') }
  append(2)
  await projector.round()
  t.equal(even.isRevoked(12), true)
  t.throws(() => odd.isRevoked(1), { name: 'UntrustedError' })
  odd.meddle = undefined
  await projector.round()
  t.same([1, 9, 11].map(odd.isRevoked), [true, true, true])
})

t.test('a shard that stalls at the start or mid-way does not delay the rows of the other shards', async t => {
  const { projector, odd, even, append, failures } = projectorScene(t)
  await projector.round()
  let asked = 0
  for (const hangsAt of [1, 2]) {
    append(2)
    asked = 0
    odd.meddle = () => ++asked >= hangsAt ? new Promise(() => {}) : undefined
    const { elapsedMs } = await timed(() => projector.round())
    // Replicas give a marker three and a half seconds.
    t.ok(elapsedMs < 3_400, `the round took ${Math.round(elapsedMs)} ms`)
    t.equal(even.isRevoked(2 * hangsAt), true)
  }
  t.equal(failures.length, 1)
})

t.test('the rounds of one shard continue while another shard is rebuilt', async t => {
  const { projector, odd, even, append } = projectorScene(t)
  append(8_000)
  await projector.round()
  await odd.forget()
  let goOn = (): void => {}
  const held = new Promise<void>(resolve => { goOn = resolve })
  let asked = 0
  odd.meddle = () => ++asked > 1 ? held : undefined
  projector.start()
  await until('the rebuild is under way', () => asked > 1)
  append(2)
  projector.wake()
  await until('the other one is up with the record', () => even.isRevoked(8_002))
  t.throws(() => odd.isRevoked(1), { name: 'UntrustedError' })
  goOn()
  await until(
    'and so is this one in the end',
    () => {
      try {
        return odd.isRevoked(8_001)
      } catch {
        return false
      }
    },
    5_000
  )
  t.equal(odd.isRevoked(1), true)
})

t.test('the head is read once for all shards', async t => {
  let reads = 0
  const record = endingAt(async () => {
    reads++
    return { recordId: '00000000-0000-4000-8000-000000000001', position: 3, marked: 3 }
  })
  const heads = createHeadPoll(record)
  const standings = Array.from({ length: 16 }, () => createStanding({ heads }))
  t.teardown(() => { heads.stop() })
  heads.start()
  await until('all of them know it', () => standings.every(({ positions }) => positions.head === 3))
  t.ok(reads <= 2, `${reads} queries`)
})
