import t, { type Test } from 'tap'
import { createClocks } from '../../../src/clocks/clocks.ts'
import { createOwnershipCheck } from '../../../src/record/ownership.ts'
import { clockFlaws, createRedisAuditor, type RedisAuditorOptions } from '../../../src/redis/health/auditor.ts'
import { auditRedis, type RedisFlaw } from '../../../src/redis/health/examination.ts'
import { createRedisWatch, type RedisWatch } from '../../../src/redis/health/watch.ts'
import { ownRedis, type OwnRedis } from '../../support/redis-server.ts'

const leewaySeconds = 5
const flaw = (kind: RedisFlaw['kind'], at = 'there'): RedisFlaw => ({ kind, at, what: 'is wrong', cure: 'Mend it.' })

interface Scene {
  watch: RedisWatch
  /** Checks once, and returns what was reported. */
  look (): Promise<string[]>
  /** True if Redis refuses writes, since its memory is full. */
  redis: { isFull: boolean }
  /** True if a marker has to be deleted, and Redis refuses that. */
  note: { isWrong: boolean }
}

/** An auditor of one Redis, beside a Postgres whose clock is right. */
function auditorOf ({ admin }: OwnRedis, options: Partial<RedisAuditorOptions> = {}): () => Promise<RedisFlaw[]> {
  return createRedisAuditor({
    servers: () => [{ at: 'there', redis: admin, tags: [''] }],
    prefix: 'p:',
    leewaySeconds,
    clocks: createClocks({ leewaySeconds }),
    readRecordClock: async () => Date.now(),
    answers: async () => true,
    ...options
  })
}

function scene (t: Test, audit: () => Promise<RedisFlaw[]>, takeSetBack = () => false): Scene {
  const told: string[] = []
  const redis = { isFull: false }
  const note = { isWrong: false }
  const write = (what: string) => async () => {
    if (redis.isFull) throw new Error('OOM')
    told.push(what)
  }
  const watch = createRedisWatch({
    audit,
    takeSetBack,
    losses: { check: async () => note.isWrong, doubt: write('doubt'), settle: write('settle') },
    onFlaws: flaws => { told.push(flaws.map(({ kind }) => kind).join() || 'none') },
    forgetMarkers: write('forget')
  })
  t.teardown(() => { watch.stop() })
  return { watch, redis, note, async look () { told.length = 0; await watch.look().catch(() => {}); return [...told] } }
}

t.test('after eviction or a wrong clock the marker is deleted before Redis is trusted again (P2)', async t => {
  const server = await ownRedis(t)
  let offMs = 0
  const clocks = createClocks({ leewaySeconds, now: () => Date.now() + offMs })
  const { look } = scene(t, async () => [
    ...(await auditRedis({ redis: server.admin, prefix: 'p:', clocks })),
    ...clockFlaws(clocks.compare(), leewaySeconds)
  ])
  t.same(await look(), [])
  await server.admin.config('SET', 'maxmemory-policy', 'volatile-ttl')
  t.same(await look(), ['eviction', 'doubt'])
  t.same(await look(), ['doubt'], 'it is told once, and left in doubt for as long as it lasts')
  await server.admin.config('SET', 'maxmemory-policy', 'noeviction')
  t.same(await look(), ['settle', 'none'], 'in that order: what was trusted before would be trusted again')
  t.same(await look(), [])
  for (offMs of [60_000, -60_000]) {
    t.same(await look(), ['clock', 'doubt'])
    offMs = 0
    t.same(await look(), ['settle', 'none'])
  }
})

t.test('a marker is deleted even if no doubt could be stored, and until then nothing is trusted (P2)', async t => {
  let flaws = [flaw('clock')]
  const { look, redis } = scene(t, async () => flaws)
  redis.isFull = true
  t.same(await look(), ['clock'])
  flaws = []
  t.same(await look(), [])
  redis.isFull = false
  t.same(await look(), ['forget', 'none'])
})

t.test('a server clock that was set back unnoticed leads to a full rebuild (P2)', async t => {
  let isSetBack = false
  const { look, redis } = scene(t, async () => [], () => isSetBack)
  t.same(await look(), [])
  isSetBack = true
  redis.isFull = true
  t.same(await look(), ['unsettled'], 'nothing is trusted until that can be done')
  isSetBack = false
  t.same(await look(), [])
  redis.isFull = false
  t.same(await look(), ['forget', 'none'])
  t.same(await look(), [])
})

t.test('nothing is trusted while Redis has evicted keys and refuses to delete the marker (P2)', async t => {
  const { look, redis, note } = scene(t, async () => [])
  redis.isFull = true
  note.isWrong = true
  t.same(await look(), ['unsettled'])
  t.same(await look(), [], 'it is told once')
  redis.isFull = false
  note.isWrong = false
  t.same(await look(), ['forget', 'none'])
})

t.test('a replica whose own clock is wrong is reported at once, and leaves no doubt', async t => {
  let flaws: RedisFlaw[] = []
  const { look, watch } = scene(t, async () => flaws)
  watch.clocksChanged([flaw('own_clock')])
  t.same(await look(), ['none'], 'an audit finds that it is gone, and nothing is written again')
  flaws = [flaw('own_clock')]
  t.same(await look(), ['own_clock'])
  flaws = []
  watch.clocksChanged([])
  t.same(await look(), ['none'])
})

t.test('a flaw that makes no Redis lose entries is lifted without a rebuild', async t => {
  let flaws = [flaw('role')]
  const { look } = scene(t, async () => flaws)
  t.same(await look(), ['role'])
  flaws = [flaw('role', 'elsewhere')]
  t.same(await look(), ['role'], 'another server is told of by itself')
  flaws = []
  t.same(await look(), ['none'])
})

t.test('eviction and a wrong clock are found while Postgres is down (P2)', async t => {
  const server = await ownRedis(t)
  await server.admin.set('p:marker', '00000000-0000-4000-8000-000000000001:5')
  const record = { isDown: false, ids: [] as string[] }
  const ask = async <T>(answer: () => T) => {
    if (record.isDown) throw new Error('The database is down.')
    return answer()
  }
  const clocks = createClocks({ leewaySeconds })
  let aheadMs = 0
  const audit = auditorOf(server, {
    readRecordClock: () => ask(Date.now),
    // The clock of Redis cannot be set, so what it answers is moved.
    clocks: {
      ...clocks,
      read: (of, askClock) => clocks.read(of, async () => await askClock() + (of.kind === 'redis' ? aheadMs : 0))
    },
    holdsForeign: createOwnershipCheck('p:', () => ask(() => record.ids))
  })
  const kinds = async () => (await audit()).map(({ kind }) => kind).sort()
  t.same(await kinds(), ['foreign_record'])
  record.isDown = true
  await server.admin.config('SET', 'maxmemory-policy', 'volatile-ttl')
  aheadMs = 60_000
  for (let look = 0; look < 5; look++) {
    t.same(await kinds(), ['clock', 'eviction', 'foreign_record'], 'the answer of Postgres is kept')
  }
  aheadMs = 0
  t.same(await kinds(), ['eviction', 'foreign_record'])
  record.isDown = false
  record.ids = ['00000000-0000-4000-8000-000000000001']
  t.same(await kinds(), ['eviction'])
})

t.test('a flaw of Postgres is found beside others, and stays until Postgres reports its end (P2)', async t => {
  const server = await ownRedis(t)
  let readRecordClock = async () => Date.now() + 8_000
  const audit = auditorOf(server, { readRecordClock: () => readRecordClock() })
  const kinds = async () => (await audit()).map(({ kind }) => kind)
  t.same(await kinds(), ['record_clock'])
  readRecordClock = async () => { throw new Error('The database is down.') }
  await server.admin.config('SET', 'maxmemory-policy', 'volatile-ttl')
  t.same(await kinds(), ['record_clock', 'eviction'])
  readRecordClock = async () => Date.now()
  t.same(await kinds(), ['eviction'])
})

t.test('a server that is down does not hide the flaws of another server (P2)', async t => {
  const [well, away] = [await ownRedis(t), await ownRedis(t)]
  let servers = [{ at: 'well', redis: well.admin, tags: [''] }, { at: 'away', redis: away.admin, tags: [''] }]
  const audit = auditorOf(well, { servers: () => servers, answers: async () => false })
  const found = async () => (await audit()).map(({ kind, at }) => `${kind} ${at}`)
  await away.admin.config('SET', 'maxmemory-policy', 'volatile-ttl')
  t.same(await found(), ['eviction away'])
  away.admin.disconnect()
  await well.admin.config('SET', 'maxmemory-policy', 'volatile-ttl')
  for (let look = 0; look < 5; look++) t.same((await found()).sort(), ['eviction away', 'eviction well'])
  servers = servers.slice(0, 1)
  t.same(await found(), ['eviction well'], 'what is none of ours any more has no flaws')
})

t.test('a server that answers look-ups but no question about itself is not trusted for long (P2)', async t => {
  const server = await ownRedis(t)
  let answers = true
  const audit = auditorOf(server, { answers: async () => answers })
  const kinds = async () => (await audit()).map(({ kind }) => kind)
  t.same(await kinds(), [])
  await server.admin.acl('SETUSER', 'default', '-info')
  t.same([await kinds(), await kinds()], [[], []], 'once or twice is no matter')
  t.same(await kinds(), ['unaudited'])
  t.same(await kinds(), ['unaudited'])
  answers = false
  t.same(await kinds(), [], 'one that is down is noticed by look-ups')
  answers = true
  t.same(await kinds(), [])
  await server.admin.acl('SETUSER', 'default', '+info')
  t.same(await kinds(), [])
})
