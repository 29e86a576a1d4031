import { Redis } from 'ioredis'
import t from 'tap'
import type { Counter } from '../../src/limits/counter.ts'
import { createLimits } from '../../src/limits/limits.ts'
import { createWaitingRoom } from '../../src/limits/waiting-room.ts'
import { randomName, redisUrl } from '../support/services.ts'
import { ip, known, onEachLimits, openLimits, refusalOf, serversEnv, strange } from './each-limits.ts'

t.test('guesses are limited by account and IP, by IP, and by account', t => onEachLimits(t, {
  LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '2/900', LIMIT_PASSWORD_BY_IP: '4/900', LIMIT_PASSWORD_BY_ACCOUNT: '6/900'
}, async (t, limits) => {
  const guess = async (account: string, ip: string, times: number) => {
    const refusals = new Set<string | undefined>()
    for (let time = 0; time < times; time++) refusals.add(await refusalOf(limits, account, ip))
    return [...refusals]
  }
  t.same(await guess('ada', ip(1), 2), [undefined])
  t.same(await guess('ada', ip(1), 9), ['password-by-account-and-ip'])
  t.same(await guess('bob', ip(1), 2), [undefined], 'what was refused did not use up the limit by IP')
  t.same(await guess('eve', ip(1), 9), ['password-by-ip'])
  t.same(await guess('eve', ip(2), 2), [undefined], 'nor does that the limit by account and IP')
  for (const last of [3, 4]) t.same(await guess('ada', ip(last), 2), [undefined], 'nor the limit by account')
  t.same(await guess('ada', ip(5), 9), ['password-by-account'])
  for (const account of ['bob', 'dan']) {
    t.same(await guess(account, ip(5), 2), [undefined], 'which does not use up the limit by IP')
  }
  t.same(await guess('ADA', ip(6), 1), ['password-by-account'], 'in any case of its letters')
}))

t.test('a right password, or one that could not be checked, does not count against a limit', t => onEachLimits(t, {
  LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '2/900', LIMIT_PASSWORD_BY_IP: '2/900', LIMIT_PASSWORD_BY_ACCOUNT: '2/900'
}, async (t, limits) => {
  const attempt = () => limits.attemptPassword({ account: 'ada', ip: ip(1), isKnownPlace: strange })
  for (let time = 0; time < 5; time++) await (await attempt()).succeed()
  for (let time = 0; time < 5; time++) await (await attempt()).abandon()
  const [first, second] = [await attempt(), await attempt()]
  await first.fail()
  await second.succeed()
  for (let time = 0; time < 5; time++) await (await attempt()).succeed()
  const refusal = await refusalOf(limits, 'ada', ip(1))
  t.equal(refusal, undefined, 'right passwords and abandoned attempts have not changed the count')
  await t.rejects(attempt(), { code: 'too_many_requests' })
}))

t.test('an attempt gets its result only once', t => onEachLimits(t, {}, async (t, limits) => {
  for (const end of ['succeed', 'fail'] as const) {
    const attempt = await limits.attemptPassword({ account: 'ada', ip: ip(1), isKnownPlace: strange })
    await attempt[end]()
    await t.rejects(attempt.succeed(), { code: 'service_unavailable', statusCode: 503 })
    await t.rejects(attempt.fail(), { code: 'service_unavailable' })
    await t.resolves(attempt.abandon())
  }
}))

t.test('an attempt waits while only attempts under way fill the limit', t => onEachLimits(t, { LIMIT_PASSWORD_BY_ACCOUNT: '2/900' }, async (t, limits) => {
  const attempt = (last: number) => limits.attemptPassword({ account: 'ada', ip: ip(last), isKnownPlace: strange })
  const underWay = [await attempt(1), await attempt(2)]
  const order: string[] = []
  const third = attempt(3).then(async admitted => { order.push('third'); await admitted.fail() })
  await new Promise(resolve => { setTimeout(resolve, 50) })
  t.same(order, [])
  await underWay[0]?.succeed()
  await third
  t.same(order, ['third'])
  const fourth = attempt(4)
  await underWay[1]?.fail()
  await t.rejects(fourth, { code: 'too_many_requests', limit: { name: 'password-by-account' } }, 'two were wrong')
  const refusal = await fourth.catch(error => error)
  t.ok(refusal.retryAfterSeconds > 890, `${refusal.retryAfterSeconds} s`)
}))

t.test('guesses at the same time do not exceed a limit', t => onEachLimits(t, { LIMIT_PASSWORD_BY_ACCOUNT: '5/900' }, async (t, limits) => {
  const refusals = await Promise.all(Array.from({ length: 60 }, (_, index) => refusalOf(limits, 'ada', ip(index))))
  t.equal(refusals.filter(refusal => refusal === undefined).length, 5)
}))

t.test('strangers cannot lock an owner out: the limit by account does not apply at known places', t => onEachLimits(t, {
  LIMIT_PASSWORD_BY_ACCOUNT: '3/900', LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '2/900', LIMIT_PASSWORD_BY_IP: '4/900'
}, async (t, limits) => {
  let asked = 0
  const isKnownPlace = async () => { asked++; return true }
  for (const last of [1, 2, 3]) t.equal(await refusalOf(limits, 'ada', ip(last), isKnownPlace), undefined)
  t.equal(asked, 0, 'it is not asked while the limit lasts')
  t.equal(await refusalOf(limits, 'ada', ip(4)), 'password-by-account')
  for (let time = 0; time < 5; time++) {
    await (await limits.attemptPassword({ account: 'ada', ip: ip(9), isKnownPlace })).succeed()
  }
  t.equal(asked, 5)

  t.equal(await refusalOf(limits, 'ada', ip(9), known), undefined)
  t.equal(await refusalOf(limits, 'ada', ip(9), known), undefined)
  t.equal(
    await refusalOf(limits, 'ada', ip(9), known),
    'password-by-account-and-ip',
    'the limit by account and IP holds there too'
  )
  t.equal(await refusalOf(limits, 'bob', ip(9)), undefined)
  t.equal(await refusalOf(limits, 'bob', ip(9)), undefined)
  t.equal(await refusalOf(limits, 'ada', ip(9), isKnownPlace), 'password-by-account-and-ip')
  t.equal(await refusalOf(limits, 'eve', ip(9), isKnownPlace), 'password-by-ip', 'and so does the limit by IP')
  t.equal(asked, 5, 'nor is it asked where it would not help')
}))

t.test('an attempt from a place that cannot be looked up does not count against a limit', t => onEachLimits(t, { LIMIT_PASSWORD_BY_ACCOUNT: '1/900', LIMIT_PASSWORD_BY_IP: '2/900', LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '2/900' }, async (t, limits) => {
  t.equal(await refusalOf(limits, 'ada', ip(1)), undefined)
  const isKnownPlace = async () => { throw new Error('The database is down.') }
  for (let time = 0; time < 5; time++) {
    await t.rejects(limits.attemptPassword({ account: 'ada', ip: ip(2), isKnownPlace }), {
      message: 'The database is down.'
    })
  }
  for (const account of ['bob', 'eve']) t.equal(await refusalOf(limits, account, ip(2)), undefined)
}))

t.test('a place is an address, or the /64 of an IPv6 address', t => onEachLimits(t, { LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '1/900', LIMIT_REGISTER_BY_IP: '1/900' }, async (t, limits) => {
  const samePlaces: Array<Array<string | undefined>> = [
    ['203.0.113.1', '::ffff:203.0.113.1', '::ffff:cb00:7101'],
    ['2001:db8::1', '2001:db8:0:0:ffff::2', '2001:DB8::3', '2001:db8::4%eth0'],
    ['', 'unknown', '203.0.113.1:5678', '_hidden', undefined]
  ]
  for (const [first, ...others] of samePlaces) {
    t.equal(await refusalOf(limits, 'ada', first), undefined, String(first))
    await t.resolves(limits.register(first))
    for (const other of others) {
      t.equal(await refusalOf(limits, 'ada', other), 'password-by-account-and-ip', String(other))
      await t.rejects(limits.register(other), { code: 'too_many_requests' }, String(other))
    }
  }
  for (const other of ['203.0.113.2', '2001:db8:0:1::1']) {
    t.equal(await refusalOf(limits, 'ada', other), undefined, other)
  }
}))

t.test('registrations are limited by IP, and refreshes by session', t => onEachLimits(t, {
  LIMIT_REGISTER_BY_IP: '2/900', LIMIT_REFRESH_BY_SESSION: '3/60'
}, async (t, limits) => {
  for (let time = 0; time < 2; time++) await t.resolves(limits.register(ip(1)))
  await t.rejects(limits.register(ip(1)), {
    code: 'too_many_requests', limit: { name: 'register-by-ip', attempts: 2, windowSeconds: 900 }
  })
  await t.resolves(limits.register(ip(2)))
  const userId = randomName()
  const session = { id: randomName(), userId, isLive: true }
  for (let time = 0; time < 3; time++) await t.resolves(limits.refresh(session))
  await t.rejects(limits.refresh(session), {
    code: 'too_many_requests', limit: { name: 'refresh-by-session', attempts: 3, windowSeconds: 60 }
  })
  await t.resolves(limits.refresh({ ...session, id: randomName() }))
}))

t.test('Redis holds no username, only counters, and no key for longer than its window', async t => {
  const env = serversEnv(t)
  const limits = await openLimits(t, env)
  const redis = new Redis(redisUrl())
  t.teardown(() => { redis.disconnect() })
  t.equal(await refusalOf(limits, 'x'.repeat(254), '2001:db8::1'), undefined)
  const attempt = await limits.attemptPassword({ account: 'ada', ip: '2001:db8::1', isKnownPlace: strange })
  await limits.register(ip(1))
  await limits.refresh({ id: 'a-session', userId: 'a-user', isLive: true })
  await limits.login('a-user')
  const prefix = `${env['BLOCKLIST_PREFIX']}limit:`
  const keys = (await redis.keys(`${prefix}*`)).map(key => key.slice(prefix.length)).sort()
  const patterns = [
    'password-by-account-and-ip:HASH:2001:db8::/64', 'password-by-account:HASH', 'password-by-ip:2001:db8::/64',
    'password-by-network:2001:db8::/48'
  ]
  const underWay = patterns.map(pattern => `${pattern}:under-way`)
  const counts = [
    'login-by-account:a-user', 'refresh-by-account:a-user', 'refresh-by-session:a-session', 'register-by-ip:203.0.113.1'
  ]
  const expected = [...patterns, ...underWay, ...counts]
  t.same(keys.map(key => key.replace(/[A-Za-z0-9_-]{43}/, 'HASH')).sort(), expected.sort())
  for (const key of keys) {
    const ttlSeconds = await redis.ttl(prefix + key)
    t.ok(ttlSeconds > 50 && ttlSeconds <= 3600, `${key}: ${ttlSeconds} s`)
  }
  await attempt.succeed()
  t.equal((await redis.keys(`${prefix}*`)).length, 8, 'nothing is left of a right password')
})

t.test('the key of an account in the counters depends on the secret, and not on the username alone', async t => {
  async function keysWith (secret: string): Promise<string[]> {
    const keys: string[] = []
    const tally = { wrong: 0, underWay: 0, windowMs: 0 }
    const counter: Counter = {
      async reserve (key) { keys.push(key); return { isAdmitted: true, ...tally } },
      settle: async () => ({ wasHeld: true, ...tally }),
      count: async () => ({ isAdmitted: true, ...tally })
    }
    const limits = createLimits({
      rateOf: name => ({ name, attempts: 1, windowSeconds: 1 }),
      counterOf: () => counter,
      room: createWaitingRoom(),
      secret: Buffer.from(secret)
    })
    await refusalOf(limits, 'ada', ip(1))
    return keys.filter(key => key !== ip(1))
  }
  const [one, again, other] = await Promise.all(['one secret', 'one secret', 'another'].map(keysWith))
  t.equal(one?.length, 2)
  t.same(one, again)
  for (const key of one ?? []) t.notOk(other?.includes(key), key)
})
