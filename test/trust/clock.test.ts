import t from 'tap'
import { createRedisConnection } from '../../src/redis/connection.ts'
import { linkTo, type RedisLink } from '../../src/redis/link.ts'
import { createCutOffTrust } from '../../src/trust/by-cut-off.ts'
import { createClockCheck } from '../../src/trust/clock-check.ts'
import { ownRedis } from '../support/redis-server.ts'
import { nowSeconds } from '../support/tokens.ts'

/** Returns a link to a Redis whose clock is as far ahead as the function returns, in seconds. */
function withClock (link: RedisLink, ahead: () => number): RedisLink {
  const run: RedisLink['run'] = async work => {
    const answer = await link.run(work)
    if (Array.isArray(answer) && answer.length === 3) answer[2] += ahead() * 1000
    return answer
  }
  return Object.create(link, { run: { value: run } }) as RedisLink
}

t.test('without a record, a clock of Redis that is set wrong is a 503, and no token comes back afterwards', async t => {
  const server = await ownRedis(t)
  const redis = createRedisConnection(server.url, { deadlineMs: 5_000 })
  t.teardown(() => { redis.disconnect() })
  await redis.connect()
  let [monotonic, ahead] = [0, 0]
  const link = withClock(linkTo(redis), () => ahead)
  const trust = createCutOffTrust({ link, prefix: 'clock:', leewaySeconds: 1, now: () => monotonic })
  await trust.untilReady()
  const issuedAt = nowSeconds()
  await server.admin.set('clock:jti:a', 1)
  t.same(await trust.read(['jti:a']), ['1'])
  // The entry ends by the wrong clock.
  ahead = 3_600
  await server.admin.del('clock:jti:a')
  monotonic += 5_000
  const flaw = /clock of Redis is 3(?:600|59\d)\.\d s ahead of .* more than leewaySeconds \(1\)\. Run NTP/
  await t.rejects(trust.read(['jti:a']), { name: 'UntrustedError', message: flaw })
  await t.rejects(trust.untilReady(), { message: flaw })
  ahead = 0
  await t.rejects(trust.read(['jti:a']), { name: 'UntrustedError', message: /was set back/ })
  t.same(await trust.read(['jti:a']), [null])
  t.equal(trust.refuses(issuedAt), true, 'the entry was lost, and the cut-off has moved')
  await trust.untilReady()
  t.equal(trust.refuses(nowSeconds()), false, 'later tokens are accepted')
})

t.test('a wrong clock of this machine is told from a clock of Redis that was set back', async t => {
  let [own, redis, monotonic] = [1_000_000, 1_000_000, 0]
  const check = createClockCheck({ leewaySeconds: 5, wallClock: () => own, monotonic: () => monotonic })
  const compare = () => check.begin().end(redis)
  const pass = (ms: number) => { own += ms; redis += ms; monotonic += ms }
  const good = { flaw: undefined, wasSetBack: false }
  t.same(compare(), good)
  pass(1_000)
  own -= 6_000
  t.match(compare(), { flaw: /6\.0 s ahead/, wasSetBack: false }, 'this machine is behind')
  own += 6_000
  pass(1_000)
  t.same(compare(), good, 'and was set right, so that Redis was right all the time')
  redis -= 6_000
  t.match(compare(), { flaw: /6\.0 s behind/, wasSetBack: true })
  redis += 6_000
  t.same(compare(), good, 'set ahead to the right time')
  redis += 4_000
  t.same(compare(), good, 'within the leeway')
  redis += 4_000
  t.match(compare(), { flaw: /8\.0 s ahead/, wasSetBack: false })
  redis -= 8_000
  t.match(compare(), { flaw: /was set back/, wasSetBack: true }, 'entries may have ended meanwhile')
  pass(1_000)
  t.same(compare(), good)
})
