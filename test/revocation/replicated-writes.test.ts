import t from 'tap'
import { linkTo } from '../../src/redis/link.ts'
import { createReplicatedWrites } from '../../src/revocation/replicated-writes.ts'
import { canReplicate, ownRedis } from '../support/redis-server.ts'
import { until } from '../support/wait.ts'

const script = "for index, key in ipairs(KEYS) do redis.call('SET', key, '1', 'PXAT', ARGV[index]) end"

t.test('a single write that too few Redis replicas acknowledge is rejected, although Redis has it', async t => {
  const { admin } = await ownRedis(t)
  const write = (replicas: number) =>
    createReplicatedWrites({ link: linkTo(admin), replicas, deadlineMs: 50 }, script, 10)
  const endsAt = Date.now() + 60_000
  await t.rejects(write(1)({ keys: ['a', 'b'], ends: [endsAt, endsAt] }), {
    message: 'The write waits for 1 of the replicas of Redis, and 0 have acknowledged it in time.'
  })
  t.same(await admin.mget('a', 'b'), ['1', '1'])
  await t.resolves(write(0)({ keys: ['c'], ends: [endsAt] }))
})

t.test('a write for two Redis replicas is rejected if only one of them acknowledges it', {
  skip: canReplicate ? false : 'servers in containers cannot reach each other here'
}, async t => {
  const [{ admin, peer }, follower] = [await ownRedis(t), await ownRedis(t)]
  const { host, port } = peer()
  await follower.admin.replicaof(host, port)
  await until('it follows', async () => /master_link_status:up/.test(await follower.admin.info('replication')))
  const write = (replicas: number, deadlineMs: number) =>
    createReplicatedWrites({ link: linkTo(admin), replicas, deadlineMs }, script, 10)({
      keys: ['a'], ends: [Date.now() + 60_000]
    })
  await t.resolves(write(1, 30_000))
  // The whole deadline passes, in which even a busy machine acknowledges once.
  await t.rejects(write(2, 3_000), {
    message: 'The write waits for 2 of the replicas of Redis, and 1 have acknowledged it in time.'
  })
})

t.test('a write is rejected with the error of the primary, even if enough Redis replicas answer', async t => {
  const { admin } = await ownRedis(t)
  const refused = "return redis.error_reply('OOM command not allowed')"
  const write = createReplicatedWrites({ link: linkTo(admin), replicas: 0, deadlineMs: 50 }, refused, 10)
  await t.rejects(write({ keys: ['a'], ends: [Date.now() + 60_000] }), { message: /OOM/ })
})

t.test('a write is rejected at once when too many batches wait', async t => {
  const { admin } = await ownRedis(t)
  const write = createReplicatedWrites({ link: linkTo(admin), replicas: 1, deadlineMs: 200 }, script, 1)
  const settled = await Promise.allSettled(
    Array.from({ length: 15 }, (_, index) => write({ keys: [`key-${index}`], ends: [Date.now() + 60_000] }))
  )
  const reasons = settled.map(({ reason }: { reason?: Error } & object) => reason?.message)
  t.equal(
    reasons.filter(reason => reason === 'Too many writes wait for replicas of Redis.').length,
    4,
    'one under way, and ten that wait'
  )
  t.equal(reasons.filter(reason => reason?.includes('have acknowledged it')).length, 11)
})
