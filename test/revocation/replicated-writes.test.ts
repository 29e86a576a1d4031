import t from 'tap'
import { linkTo } from '../../src/redis/link.ts'
import { createReplicatedWrites } from '../../src/revocation/replicated-writes.ts'
import { ownRedis } from '../support/redis-server.ts'

const script = "for index, key in ipairs(KEYS) do redis.call('SET', key, '1', 'PXAT', ARGV[index]) end"

t.test('a single write that too few Redis replicas acknowledge is rejected, although Redis has it', async t => {
  const { admin } = await ownRedis(t)
  const write = (replicas: number) =>
    createReplicatedWrites({ link: linkTo(admin), replicas, deadlineMs: 50 }, script, 10)
  const endsAt = Date.now() + 60_000
  await t.rejects(write(1)(['a', 'b'], [endsAt, endsAt]), {
    message: 'The write waits for 1 of the replicas of Redis, and 0 have acknowledged it in time.'
  })
  t.same(await admin.mget('a', 'b'), ['1', '1'])
  await t.resolves(write(0)(['c'], [endsAt]))
})

t.test('a write is rejected at once when too many batches wait', async t => {
  const { admin } = await ownRedis(t)
  const write = createReplicatedWrites({ link: linkTo(admin), replicas: 1, deadlineMs: 200 }, script, 1)
  const settled = await Promise.allSettled(
    Array.from({ length: 15 }, (_, index) => write([`key-${index}`], [Date.now() + 60_000]))
  )
  const reasons = settled.map(({ reason }: { reason?: Error } & object) => reason?.message)
  t.equal(
    reasons.filter(reason => reason === 'Too many writes wait for replicas of Redis.').length,
    4,
    'one under way, and ten that wait'
  )
  t.equal(reasons.filter(reason => reason?.includes('have acknowledged it')).length, 11)
})
