import { inspect } from 'node:util'
import { Redis } from 'ioredis'
import { decodeJwt } from 'jose'
import t from 'tap'
import { createRedisBlocklist } from '../../src/blocklist/public/redis-blocklist.ts'
import { createRedisConnection } from '../../src/redis/connection.ts'
import { build, serversEnv } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { signIn, signUp } from '../support/people.ts'
import { proxyTo } from '../support/proxy.ts'
import { ownRedis } from '../support/redis-server.ts'
import { get, logOut } from '../support/requests.ts'
import { redisUrl } from '../support/services.ts'
import { issuedLately, nowSeconds } from '../support/tokens.ts'
import { timed, until } from '../support/wait.ts'
import { entryKey } from '../../src/entries/revocation.ts'
import { expectRefused, untilAnswered, untilLoggedOut } from './patience.ts'
import { redisRows } from './rows/redis.ts'

const revocation = { scope: 'token', id: 'a', expiresAt: nowSeconds() + 60 } as const

testFault(t, redisRows.writesDelayed, async t => {
  const server = await ownRedis(t)
  const behind = new Redis(server.url)
  t.teardown(() => { behind.disconnect() })
  const app = await build(t, { ...await serversEnv(t), REDIS_URL: server.url, BLOCKLIST_DEADLINE_MS: '2500' })
  const ada = await signUp(app, 'ada')
  await behind.client('PAUSE', 60_000, 'WRITE')
  t.equal((await get(app, '/me', ada.token)).statusCode, 200, 'reading goes on')
  const answer = await logOut(app, ada.token)
  t.equal(answer.statusCode, 503)
  t.equal(answer.json().error, 'revocation_unavailable')
  await behind.client('UNPAUSE')
  await untilLoggedOut(app, ada.token)
  await expectRefused(t, [app], ada.token)
})

testFault(t, redisRows.selectRefused, async t => {
  const server = await ownRedis(t)
  const behind = new Redis(server.url)
  t.teardown(() => { behind.disconnect() })
  const app = await build(t, { ...await serversEnv(t), REDIS_URL: `${server.url}/1` })
  const ada = await signUp(app, 'ada')
  t.equal((await logOut(app, ada.token)).statusCode, 200)
  await behind.acl('SETUSER', 'default', '-select')
  await behind.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  let accepted = 0
  await until('it was refused twice', async () => {
    if ((await get(app, '/token', ada.token)).statusCode === 200) accepted++
    return Number(/cmdstat_select:.*rejected_calls=(\d+)/.exec(await behind.info('commandstats'))?.[1]) >= 2
  })
  t.equal(accepted, 0, 'the token that was logged out is never accepted')
  t.equal((await get(app, '/health/ready')).statusCode, 503)
  await behind.acl('SETUSER', 'default', '+select')
  await until('it is back', async () => (await get(app, '/token', ada.token)).statusCode === 401)
})

t.test('a command that failed is not executed later', async t => {
  const server = await ownRedis(t)
  const redis = createRedisConnection(server.url, { deadlineMs: 200 })
  const blocklist = createRedisBlocklist({ redis, prefix: 'p:', leewaySeconds: 5, deadlineMs: 200 })
  t.teardown(() => blocklist.close())
  await redis.connect()

  server.pause()
  await t.rejects(blocklist.revoke([revocation]), { message: 'No answer within 200 ms.' })
  await server.kill()
  await until('the connection is gone', () => redis.status !== 'ready')
  await t.rejects(
    blocklist.revoke([revocation]), { message: /enableOfflineQueue/ }, 'without a connection it fails at once'
  )
  await server.start()
  await untilAnswered(() => blocklist.ping())
  const isRevoked = await untilAnswered(() => blocklist.isRevoked(issuedLately('a')))
  t.equal(isRevoked, false, 'neither of the two commands was executed later')
})

t.test('the address cannot switch the bounds off', async t => {
  const server = await ownRedis(t)
  const redis = createRedisConnection(`${server.url}?commandTimeout=60000&enableOfflineQueue=true&keyPrefix=x:`, {
    deadlineMs: 200
  })
  t.teardown(() => { redis.disconnect() })
  t.match(redis.options, {
    commandTimeout: 200, enableOfflineQueue: false, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0
  })
  t.notOk(redis.options.keyPrefix)
})

t.test('the reason of a loss carries no command, and so no password', async t => {
  const server = await ownRedis(t)
  const behind = new Redis(server.url)
  t.teardown(() => { behind.disconnect() })
  await behind.config('SET', 'requirepass', 'another')
  const reasons: Error[] = []
  const redis = createRedisConnection(server.url.replace('//', '//:a-password@'), {
    deadlineMs: 200, onLost: error => { reasons.push(error) }
  })
  t.teardown(() => { redis.disconnect() })
  await redis.connect().catch(() => { /* The password is wrong. */ })
  await until('it is lost', () => reasons.length > 0)
  t.match(reasons[0]?.message, 'password')
  t.notMatch(inspect(reasons[0]), 'a-password')
})

t.test('the log says that Redis is lost and back, once each, and no password', async t => {
  const server = await ownRedis(t)
  const behind = new Redis(server.url)
  t.teardown(() => { behind.disconnect() })
  const lines: string[] = []
  await behind.config('SET', 'requirepass', 'the-first-password')
  const url = server.url.replace('//', '//:the-first-password@')
  const app = await build(t, { ...await serversEnv(t), REDIS_URL: url }, {
    level: 'debug',
    stream: {
      write: line => { lines.push(line) }
    }
  })
  const ada = await signUp(app, 'ada')
  const count = (text: string) => lines.filter(line => line.includes(text)).length
  t.equal(count('Redis is'), 0)

  await behind.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await until('it was lost and is back', () => count('"msg":"Redis is back."') === 1, 30_000)
  t.equal(count('Redis is unavailable.'), 1, 'a clean end is a loss too')
  await behind.config('SET', 'requirepass', 'another-password')
  await behind.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await until('the loss is noticed', () => count('Redis is unavailable.') === 2)
  await get(app, '/token', ada.token)
  await until('a refusal was logged', () => count('revocation_unavailable') > 0)
  t.notMatch(lines.join(''), 'the-first-password')
})

t.test('settings of the blocklist: its deadline, its prefix and the leeway', async t => {
  const server = await ownRedis(t)
  const behind = new Redis(server.url)
  t.teardown(() => { behind.disconnect() })
  const proxy = await proxyTo(t, '127.0.0.1', server.port)
  const app = await build(t, {
    ...await serversEnv(t),
    REDIS_URL: `redis://127.0.0.1:${proxy.port}`,
    BLOCKLIST_DEADLINE_MS: '2500',
    BLOCKLIST_PREFIX: 'mine:',
    CLOCK_LEEWAY: '20',
    RATE_LIMITS: 'off'
  })
  const ada = await signUp(app, 'ada')
  const { jti, sid, exp } = decodeJwt(ada.token)
  await logOut(app, ada.token)
  t.same((await behind.keys('*')).sort(), [
    `mine:${entryKey('token', String(jti))}`, 'mine:marker', 'mine:note', `mine:${entryKey('session', String(sid))}`
  ])
  for (const key of await behind.keys('mine:?i?:*')) t.equal(await behind.pexpiretime(key), (Number(exp) + 60) * 1000)

  const { access_token: token } = await signIn(app, 'ada')
  proxy.stall()
  const { value, elapsedMs } = await timed(() => get(app, '/token', token))
  t.equal(value?.statusCode, 503)
  t.ok(elapsedMs > 2_300, `it waited ${Math.round(elapsedMs)} ms`)
  proxy.resume()
})

t.test('a connection that ioredis gives up while it is made is made again, unless it was closed', async t => {
  const redis = createRedisConnection(redisUrl(), { deadlineMs: 2_000 })
  t.teardown(() => { redis.disconnect() })
  const connecting = redis.connect()
  // The failover detector of ioredis does this.
  Reflect.get(redis, 'connector').disconnect()
  await t.rejects(connecting, { message: /closed/ })
  await until('it is made again', () => redis.status === 'ready')
  t.equal(await redis.ping(), 'PONG')
  redis.disconnect()
  await until('it is closed', () => redis.status === 'end')
  await new Promise(resolve => setTimeout(resolve, 250))
  t.equal(redis.status, 'end', 'and stays so')
})
