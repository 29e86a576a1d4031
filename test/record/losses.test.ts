import t, { type Test } from 'tap'
import { connectionsTo } from '../../src/redis/connections.ts'
import { createBlocklistEvents, type BlocklistEmitter, type Loss } from '../../src/events/blocklist-events.ts'
import { createRedisLosses } from '../../src/record/losses.ts'
import type { RedisLosses } from '../../src/redis/health/watch.ts'
import { createRedisProjection } from '../../src/record/redis-projection.ts'
import { formatMarker, newDraft, projectionKeys } from '../../src/record/marker.ts'
import { evictWhatEnds, ownRedis, type OwnRedis } from '../support/redis-server.ts'
import { until } from '../support/wait.ts'

const recordId = '00000000-0000-4000-8000-000000000001'
const marker = formatMarker({ recordId, position: 5 })
const keys = projectionKeys('p:')

interface Scene {
  redis: OwnRedis
  losses: RedisLosses
  told: Loss[]
  /** Sets the marker, checks, and returns what is left of the marker. */
  check (): Promise<string | null>
  found (): Promise<string | null>
}

/** Events of a blocklist that add each loss to a list. */
function telling (told: Loss[]): BlocklistEmitter {
  const events = createBlocklistEvents()
  events.on('markerForgotten', loss => { told.push(loss) })
  return events
}

async function scene (t: Test): Promise<Scene> {
  const redis = await ownRedis(t)
  const told: Loss[] = []
  const losses = createRedisLosses(connectionsTo(redis.admin, 'there'), 'p:', telling(told))
  const found = () => redis.admin.get(keys.marker)
  return {
    redis,
    losses,
    told,
    found,
    async check () {
      await redis.admin.set(keys.marker, marker)
      await losses.check()
      return await found()
    }
  }
}

/** Writes the note as another server would have, the given number of seconds ago. */
async function noteAnother ({ admin }: OwnRedis, secondsAgo: number): Promise<void> {
  const [seconds] = await admin.time()
  await admin.set(keys.note, `${'a'.repeat(40)}:0:${Number(seconds) - secondsAgo}`)
}

t.test('a marker that is older than an eviction is deleted once, even long after the eviction (P2)', async t => {
  const { redis, losses, told, check } = await scene(t)
  t.equal(await check(), marker, 'a blocklist of a release that made no note is believed')
  t.equal(await check(), marker)
  await redis.admin.set('p:jti:x', 1, 'EX', 1_000)
  await evictWhatEnds(redis)
  t.equal(await check(), null)
  t.same(told, ['evicted'])
  t.equal(await check(), marker, 'what is written after that is believed')
  t.same(told, ['evicted'])
  await redis.admin.config('RESETSTAT')
  t.equal(await check(), null, 'nor does it help that somebody has set the count to 0')
  await redis.admin.del(keys.note)
  t.equal(await check(), marker)
  redis.admin.disconnect()
  await t.resolves(losses.check(), 'a server that is down is left for the next time')
})

t.test('a server without a note that has evicted keys is untrusted (P2)', async t => {
  const { redis, told, check } = await scene(t)
  await redis.admin.set('another:key', 1, 'EX', 1_000)
  await evictWhatEnds(redis)
  t.equal(await check(), null)
  t.same(told, ['evicted'])
})

t.test('a new server is trusted only if it already ran when the old one was last seen, a moment ago (P2)', async t => {
  const { redis, told, check } = await scene(t)
  await noteAnother(redis, 5)
  t.equal(await check(), null, 'it has just been started, and the note is from before')
  t.equal(told.pop(), 'replaced')
  await until(
    'it has been there for a while',
    async () => Number(/uptime_in_seconds:(\d+)/.exec(await redis.admin.info('server'))?.[1]) >= 5
  )
  await noteAnother(redis, 0)
  t.equal(await check(), marker)
  for (const secondsAgo of [12, 3_600, -12]) {
    await noteAnother(redis, secondsAgo)
    t.equal(await check(), null, `${secondsAgo} s ago`)
    t.equal(told.pop(), 'replaced')
  }
  await redis.admin.set('another:key', 1, 'EX', 1_000)
  await evictWhatEnds(redis)
  await noteAnother(redis, 0)
  t.equal(await check(), null, 'and not if it has evicted itself')
})

t.test('the projector starts over if keys were evicted before it looks or while it writes (P2)', async t => {
  const { redis } = await scene(t)
  const told: Loss[] = []
  const projection = createRedisProjection({
    redis: redis.admin,
    prefix: 'p:',
    leewaySeconds: 5,
    events: telling(told)
  })
  const evictOne = async () => { await redis.admin.set('p:jti:x', 1, 'EX', 1_000); await evictWhatEnds(redis) }
  const first = await projection.begin(recordId, newDraft(recordId))
  await evictOne()
  t.equal(await projection.advance(first, marker, []), false)
  const second = await projection.begin(recordId, newDraft(recordId))
  t.equal(await projection.advance(second, marker, []), true)
  t.equal(await projection.begin(recordId, newDraft(recordId)), marker)
  await evictOne()
  const draft = newDraft(recordId)
  t.equal(await projection.begin(recordId, draft), draft)
  t.same(told, ['evicted'])
})

t.test('a doubt is settled once, by one of the replicas that come later (P2)', async t => {
  const { redis, losses, found } = await scene(t)
  await redis.admin.set(keys.marker, marker)
  await losses.settle()
  t.equal(await found(), marker, 'there was none')
  await losses.doubt()
  await losses.settle()
  t.equal(await found(), null)
  await redis.admin.set(keys.marker, marker)
  await losses.settle()
  t.equal(await found(), marker)
  redis.admin.disconnect()
  await t.rejects(losses.doubt())
  await t.rejects(losses.settle())
})

t.test('a Redis that refuses writes is checked for losses, and a loss is reported (P2)', async t => {
  const { redis: { admin }, losses, found } = await scene(t)
  await admin.set(keys.marker, marker)
  t.equal(await losses.check(), false)
  await admin.config('SET', 'min-replicas-to-write', '1')
  t.equal(await losses.check(), false, 'the note cannot be renewed, and is right')
  await t.resolves(losses.settle(), 'there is no doubt')
  await admin.config('SET', 'min-replicas-to-write', '0')
  await admin.set('another:key', 1, 'EX', 1_000)
  await evictWhatEnds({ admin } as OwnRedis)
  await admin.set(keys.doubt, 1)
  await admin.config('SET', 'min-replicas-to-write', '1')
  t.equal(await losses.check(), true, 'the marker has to be forgotten, and cannot be')
  await t.rejects(losses.settle(), /NOREPLICAS/)
  t.equal(await found(), marker)
})
