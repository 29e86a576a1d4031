import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createRedisBlocklist, createRedisConnection } from '../../plugins/auth/auth.ts'
import { packageRoot } from '../../src/package-root.ts'
import { onRedis } from '../support/cut-off.ts'
import { proxyTo } from '../support/proxy.ts'
import { evictWhatEnds, ownRedis } from '../support/redis-server.ts'
import { until } from '../support/wait.ts'
import { testBlocklist } from '../revocation/blocklist.contract.ts'
import {
  ask, askUntilAnswered, claims, countEntries, openBlocklist, openDatabase, openRecord, prefix, token, whenReady
} from './record-scene.ts'

const leewaySeconds = 2

t.test('a blocklist with a record keeps the contract of a blocklist', t => testBlocklist(t, leewaySeconds, async t => {
  const server = await ownRedis(t)
  const blocklist = await openBlocklist(t, server.url, await openDatabase(t), { leewaySeconds })
  await whenReady(blocklist)
  return {
    blocklist,
    countEntries: () => countEntries(server.admin),
    async findEnd (key) {
      const endsAt = await server.admin.pexpiretime(prefix + key)
      return endsAt === -2 ? undefined : endsAt
    }
  }
}))

t.test('everyone is revoked by iat with a record, also after a FLUSHALL, and later logins work (P1)', async t => {
  const server = await ownRedis(t)
  const database = await openDatabase(t)
  const [a, b] = [await openBlocklist(t, server.url, database), await openBlocklist(t, server.url, database)] as const
  await whenReady(a, b)
  const before = [claims('one', 'ada'), claims('two', 'grace')]
  await a.revokeEveryone?.()
  const askBoth = async (all: ReturnType<typeof claims>[]) =>
    await Promise.all([a, b].flatMap(blocklist => all.map(token => ask(blocklist, token))))
  t.same(await askBoth(before), [true, true, true, true])
  await b.ready('ada')
  const later = claims('later', 'ada')
  t.same(await askBoth([later]), [false, false])
  await onRedis(server.url, redis => redis.flushall())
  await askUntilAnswered([a, b], later)
  t.same(await askBoth([...before, later]), [true, true, false, true, true, false])
  await a.revokeSubject?.('ada')
  t.same(await askBoth([later, claims('other', 'grace')]), [true, false, true, false])
  await a.ready('ada')
  t.same(await askBoth([claims('again', 'ada')]), [false, false])
})

t.test('a revocation whose writer ended before it wrote to Redis takes effect on every replica', async t => {
  const server = await ownRedis(t)
  const database = await openDatabase(t)
  const blocklist = await openBlocklist(t, server.url, database)
  await whenReady(blocklist)
  t.equal(await ask(blocklist, claims('left')), false)
  // A process that is killed after its commit does just this.
  await openRecord(database).append([token('left')])
  await until('it is refused', async () => await ask(blocklist, claims('left')) === true)
  t.equal(await server.admin.exists(`${prefix}jti:left`), 1, 'the projector has written it')
})

t.test('the commands that docs/plugin-redis.md lists are enough for the user of Redis', async t => {
  const server = await ownRedis(t)
  const commands = ['evalsha', 'eval', 'info', 'time', 'mget', 'get', 'set', 'pttl', 'del']
  const document = readFileSync(join(packageRoot, 'docs', 'plugin-redis.md'), 'utf8')
  const [line = ''] = /The user may run .*/.exec(document) ?? []
  t.same(line.match(/`[A-Z]+`/g), commands.map(command => `\`${command.toUpperCase()}\``))
  const permitted = commands.map(command => `+${command}`)
  await server.admin.acl('SETUSER', 'app', 'on', '>a-password', `~${prefix}*`, ...permitted)
  const url = server.url.replace('//', '//app:a-password@')
  const settings = { leewaySeconds: 0, deadlineMs: 5_000, maxTokenLifetimeSeconds: 900 }
  const alone = createRedisBlocklist({ redis: await connected(url), prefix, ...settings })
  t.teardown(() => alone.close())
  const recorded = await openBlocklist(t, url, await openDatabase(t))
  await whenReady(alone, recorded)
  for (const blocklist of [alone, recorded]) {
    await blocklist.revoke([token('a')])
    await blocklist.revokeSubject?.('grace')
    t.same([await ask(blocklist, claims('a')), await ask(blocklist, claims('b', 'grace'))], [true, true])
    await blocklist.revokeEveryone?.()
    t.equal(await ask(blocklist, claims('c')), true)
  }
  await onRedis(server.url, redis => redis.flushall())
  await askUntilAnswered([recorded], claims('a'))
  t.equal(await ask(recorded, claims('a')), true)
})

async function connected (url: string) {
  const redis = createRedisConnection(url)
  await redis.connect()
  return redis
}

t.test('a Redis that may evict keys is refused, and evicted revocations come back from the record (P2)', async t => {
  const server = await ownRedis(t)
  const database = await openDatabase(t)
  await server.admin.config('SET', 'maxmemory-policy', 'volatile-lru')
  const refused = await openBlocklist(t, server.url, database)
  await t.rejects(refused.ready(), {
    code: 'revocation_unavailable',
    cause: { message: /maxmemory-policy is volatile-lru.*Set maxmemory-policy noeviction/ }
  })
  await refused.close()
  await server.admin.config('SET', 'maxmemory-policy', 'noeviction')
  const blocklist = await openBlocklist(t, server.url, database)
  await whenReady(blocklist)
  await blocklist.revoke([token('evicted')])
  await evictWhatEnds(server)
  t.equal(await server.admin.exists(`${prefix}jti:evicted`), 0)
  await server.admin.config('SET', 'maxmemory-policy', 'noeviction')
  await until('the eviction was noticed', async () => await ask(blocklist, claims('evicted')) !== false, 10_000)
  await askUntilAnswered([blocklist], claims('evicted'))
  t.same([await ask(blocklist, claims('evicted')), await ask(blocklist, claims('kept'))], [true, false])
})

t.test('a blocklist of another database under the same prefix is refused with the cure', async t => {
  const server = await ownRedis(t)
  const first = await openBlocklist(t, server.url, await openDatabase(t))
  await whenReady(first)
  await first.close()
  const second = await openBlocklist(t, server.url, await openDatabase(t))
  await t.rejects(second.ready(), { cause: { message: /another database.*delete the key recorded:marker/ } })
  await server.admin.del(`${prefix}marker`)
  await whenReady(second)
})

t.test('lost connections to Redis sign no user out with a record, and close() leaves nothing behind', async t => {
  const server = await ownRedis(t)
  const proxy = await proxyTo(t, '127.0.0.1', server.port)
  const database = await openDatabase(t)
  const blocklist = await openBlocklist(t, `redis://127.0.0.1:${proxy.port}`, database)
  await whenReady(blocklist)
  await blocklist.revoke([token('revoked')])
  proxy.lead(server.port)
  const answers = await askUntilAnswered([blocklist], claims('revoked'))
  t.notOk(answers.has(false))
  t.equal(await ask(blocklist, claims('kept')), false)
  await blocklist.close()
  t.equal((await database.pool.query('select 1 as one')).rows.length, 1, 'the pool of the app stays open')
  await until('Redis has only the connection of the test', async () =>
    String(await server.admin.client('LIST')).trim().split('\n').length === 1)
})
