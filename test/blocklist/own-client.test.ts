import { Cluster, Command, Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import t, { type Test } from 'tap'
import { createRedisBlocklist, createRedisConnection } from '../../plugins/auth/auth.ts'
import { proxyTo } from '../support/proxy.ts'
import { ownRedis } from '../support/redis-server.ts'
import { issuedLately, nowSeconds } from '../support/tokens.ts'
import { until } from '../support/wait.ts'

const versions = {
  'ioredis 5': (url: string) => new Redis5(url),
  'ioredis 6': (url: string) => new Redis(url)
}
const token = (id: string) => ({ scope: 'token', id, expiresAt: nowSeconds() + 60 } as const)

interface Closable {
  disconnect (): void
  on (event: 'error', listener: () => void): unknown
}

function keep<C extends Closable> (t: Test, client: C): C {
  client.on('error', () => { /* Redis stalls, or is down. */ })
  t.teardown(() => { client.disconnect() })
  return client
}

/** Counts the keys of commands that clients of ioredis 6 have sent, and that are not settled yet. */
function countOutstanding (t: Test): { keys: number, most: number } {
  const count = { keys: 0, most: 0 }
  const { sendCommand } = Redis.prototype
  Redis.prototype.sendCommand = function (this: Redis, command: Command, ...rest: never[]) {
    const keys = command.name === 'mget' ? command.args.length : 1
    count.keys += keys
    count.most = Math.max(count.most, count.keys)
    const end = () => { count.keys -= keys }
    command.promise.then(end, end)
    return sendCommand.call(this, command, ...rest)
  } as typeof sendCommand
  t.teardown(() => { Redis.prototype.sendCommand = sendCommand })
  return count
}

for (const [name, connect] of Object.entries(versions)) {
  t.test(`a client of ${name} with its default settings says where Redis is, and stays as it is`, async t => {
    const server = await ownRedis(t)
    const client = keep(t, connect(`${server.url}/2`))
    const settings = { ...client.options }
    const blocklist = createRedisBlocklist({ redis: client, prefix: 'own:', leewaySeconds: 0, deadlineMs: 5_000 })
    await blocklist.ready()
    await blocklist.revoke([token('a')])
    t.equal(await blocklist.isRevoked(issuedLately('a')), true)
    t.equal(await client.exists('own:jti:a'), 1, 'in the database that the client uses')
    t.match(client.options, settings)
    await blocklist.close()
    await t.rejects(async () => blocklist.isRevoked(issuedLately('a')))
    t.equal(await client.ping(), 'PONG', 'close() leaves the client open')
    await until('and closes the connections of the blocklist', async () =>
      String(await server.admin.client('LIST')).trim().split('\n').length === 2)
  })

  t.test(`a stalled Redis behind a client of ${name}: what waits is bounded, and ready() rejects`, async t => {
    const server = await ownRedis(t)
    const client = keep(t, connect(server.url))
    const blocklist = createRedisBlocklist({ redis: client, prefix: 'own:', leewaySeconds: 0, deadlineMs: 1_000 })
    t.teardown(() => blocklist.close())
    await until('it is ready', () => blocklist.ready().then(() => true, () => false), 30_000)
    const outstanding = countOutstanding(t)
    server.pause()
    const asked: Array<Promise<unknown>> = []
    for (let turn = 0; turn < 300; turn++) {
      const ids = Array.from({ length: 100 }, (_, index) => `${turn}-${index}`)
      asked.push(...ids.map(id => (blocklist.isRevoked(issuedLately(id)) as Promise<boolean>)))
      asked.push(...ids.map(id => blocklist.revoke([token(id)])))
      for (const promise of asked.slice(-200)) promise.catch(() => {})
      await new Promise(setImmediate)
    }
    t.ok(outstanding.most > 1_000, `${outstanding.most} keys were outstanding`)
    t.ok(outstanding.most <= 20_100, `at most 20,000 and the commands of connecting: ${outstanding.most}`)
    await t.rejects(blocklist.ready(), { code: 'revocation_unavailable' })
    t.ok((await Promise.allSettled(asked)).every(({ status }) => status === 'rejected'), 'all of them rejected')
    server.resume()
    await until('it answers again', async () => {
      const answer = await blocklist.ready().then(() => blocklist.isRevoked(issuedLately('new'))).catch(() => undefined)
      t.not(answer, true)
      return answer === false
    }, 30_000)
    await until('nothing is left over', () => outstanding.keys < 10)
  })
}

t.test('ready() says why Redis cannot be used, and works once it can', async t => {
  const server = await ownRedis(t)
  const proxy = await proxyTo(t, '127.0.0.1', 1)
  const refusal = (message: RegExp) => ({ code: 'revocation_unavailable', cause: { message } })
  await server.admin.config('SET', 'requirepass', 'right')
  await server.admin.auth('right')
  for (const [address, reason] of [
    ['redis://127.0.0.1:1', /ECONNREFUSED/],
    [server.url, /NOAUTH/],
    [server.url.replace('//', '//:wrong@'), /WRONGPASS/],
    [`redis://127.0.0.1:${proxy.port}`, /closed|ECONNRESET/]
  ] as const) {
    const redis = keep(t, new Redis(address, { lazyConnect: true }))
    const blocklist = createRedisBlocklist({ redis, prefix: 'p:' })
    await t.rejects(blocklist.ready(), refusal(reason), address)
    await blocklist.close()
    redis.disconnect()
  }
})

t.test('connect() of createRedisConnection says which server and why, without the password', async t => {
  const server = await ownRedis(t)
  await server.admin.config('SET', 'requirepass', 'right')
  await server.admin.auth('right')
  const connect = async (address: string) => {
    const redis = createRedisConnection(address)
    t.teardown(() => { redis.disconnect() })
    return await redis.connect().then(() => '', error => String((error as Error).message))
  }
  t.equal(
    await connect('redis://:a-secret@127.0.0.1:1'),
    'Cannot connect to Redis at 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1.'
  )
  t.match(await connect('redis://localhost:1'), /^Cannot connect to Redis at localhost:1: connect ECONNREFUSED/)
  const wrong = await connect(server.url.replace('//', '//:a-secret@'))
  t.match(wrong, /^Cannot connect to Redis at 127\.0\.0\.1:\d+: WRONGPASS/)
  t.notMatch(wrong, 'a-secret')
  t.match(await connect(server.url), /NOAUTH/)
  t.match(await connect('redis://no-such-host.invalid'), /ENOTFOUND|EAI_AGAIN/)
})

t.test('createRedisConnection connects to a Redis that answers late, as a process that starts sees it', async t => {
  const proxy = await proxyTo(t, '127.0.0.1', (await ownRedis(t)).port)
  proxy.delay(150)
  const redis = createRedisConnection(`redis://127.0.0.1:${proxy.port}`)
  t.teardown(() => { redis.disconnect() })
  await t.resolves(redis.connect())
})

t.test('options with which a blocklist cannot work are refused by their names', async t => {
  const refuse = (redis: Redis | Cluster, name: string) => t.throws(
    () => createRedisBlocklist({ redis: keep(t, redis as Redis), prefix: 'p:' }),
    { name: 'TypeError', message: new RegExp(`redis has the option ${name},`) }
  )
  refuse(new Redis({ lazyConnect: true, keyPrefix: 'x:' }), 'keyPrefix')
  const sentinels = [{ host: '127.0.0.1', port: 1 }]
  refuse(new Redis({ lazyConnect: true, sentinels, name: 'm', role: 'slave' }), 'role')
  refuse(new Cluster([1], { lazyConnect: true, redisOptions: { keyPrefix: 'x:' } }), 'keyPrefix')
  refuse(new Cluster([1], { lazyConnect: true, keyPrefix: 'x:' }), 'keyPrefix')
  const redis = keep(t, new Redis({ lazyConnect: true }))
  t.throws(() => createRedisBlocklist({ redis, prefix: 'p:', noevictionAcknowledged: 'yes' as never }), {
    name: 'TypeError', message: /noevictionAcknowledged is "yes"; it must be true or false/
  })
})
