import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { createClocks } from '../../../src/clocks/clocks.ts'
import { loadConfig } from '../../../src/config.ts'
import { clockFlaws } from '../../../src/redis/health/auditor.ts'
import { formatMarker, newDraft, projectionKeys } from '../../../src/record/marker.ts'
import { createOwnershipCheck } from '../../../src/record/ownership.ts'
import { createRedisConnection } from '../../../src/redis/connection.ts'
import { shardPrefix } from '../../../src/redis/connections.ts'
import { auditRedis, type RedisFlaw } from '../../../src/redis/health/examination.ts'
import { build, buildUnready, promptServersEnv, serversEnv, withoutTables, type Env } from '../../support/app.ts'
import { keepLog } from '../../support/log.ts'
import { ownRedis, type OwnRedis } from '../../support/redis-server.ts'
import { messagesIn, spawnServer } from '../../support/server-process.ts'
import { until } from '../../support/wait.ts'

const leewaySeconds = 5

/** Starts on that Redis. Returns the error message; undefined if it starts. */
async function startOn (t: Test, url: string, settings: Record<string, string> = {}): Promise<string | undefined> {
  const app = buildUnready(t, loadConfig({ ...await promptServersEnv(t), REDIS_URL: url, ...settings }))
  try {
    await app.ready()
    return undefined
  } catch (error) {
    t.equal((error as Error).name, 'StartupError', String(error))
    t.notMatch((error as Error).message, '\n', 'one line')
    return (error as Error).message
  }
}

/** Returns the address of a Redis with a user whose rights are limited by the rules. */
async function restricted (server: OwnRedis, ...rules: string[]): Promise<string> {
  await server.admin.acl('SETUSER', 'service', 'on', '>a-password', '~*', '&*', '+@all', ...rules)
  return server.url.replace('//', '//service:a-password@')
}

t.test('the service does not start on a Redis that may drop revocations, and names the setting (P2)', async t => {
  const server = await ownRedis(t)
  for (const policy of ['allkeys-lru', 'volatile-ttl', 'volatile-lru', 'allkeys-random']) {
    await server.admin.config('SET', 'maxmemory-policy', policy)
    t.equal(
      await startOn(t, server.url),
      `REDIS_URL: the Redis at ${server.url} drops keys when its memory is full (maxmemory-policy is ${policy}), logouts among them. Set maxmemory-policy noeviction there.`
    )
  }
  t.match(
    await startOn(t, server.url, { REDIS_NOEVICTION_ACKNOWLEDGED: 'yes' }),
    'maxmemory-policy is',
    'what it tells itself is not for anybody to acknowledge'
  )
  const process = spawnServer(t, { PORT: '0', ...await promptServersEnv(t), REDIS_URL: server.url })
  t.equal(await process.ended, 1)
  t.match(
    messagesIn(process.output()).join(),
    /^signout cannot start: REDIS_URL: .+ Set maxmemory-policy noeviction there\.$/
  )
})

t.test('a Redis that hides its policy is refused without REDIS_NOEVICTION_ACKNOWLEDGED (P2)', async t => {
  const server = await ownRedis(t)
  const url = await restricted(server, '-config')
  t.match(
    await startOn(t, url),
    /^REDIS_URL: .* does not tell its maxmemory-policy\. Allow CONFIG GET; or make sure that it is noeviction, and set REDIS_NOEVICTION_ACKNOWLEDGED=yes\.$/
  )
  const { logger, lines } = keepLog()
  const acknowledged = { REDIS_URL: url, REDIS_NOEVICTION_ACKNOWLEDGED: 'yes' }
  const app = await build(t, { ...await serversEnv(t), ...acknowledged }, logger)
  const warnings = lines().filter(({ level }) => level === 40).map(({ msg }) => String(msg))
  t.ok(warnings.some(line => line.includes('REDIS_NOEVICTION_ACKNOWLEDGED')), warnings.join())
  t.notMatch(warnings.join(), 'a-password')
  await app.blocklist.ping()
  const silent = await startOn(t, await restricted(server, '-info'))
  t.match(silent, /^REDIS_URL: .*refuses INFO, TIME or GET \(.*info.*\)\. Allow them for this user\.$/i)
  t.notMatch(silent, 'a-password')
})

t.test('a start that is refused leaves a doubt if Redis may have dropped entries, and no other doubt (P2)', async t => {
  const server = await ownRedis(t)
  const hiding = await restricted(server, '-config')
  const isDoubted = async (prefix: string) => await server.admin.exists(`${prefix}doubt`) === 1
  await server.admin.config('SET', 'maxmemory-policy', 'volatile-ttl')
  await startOn(t, server.url, { BLOCKLIST_PREFIX: 'evicts:' })
  t.equal(await isDoubted('evicts:'), true)
  await server.admin.config('SET', 'maxmemory-policy', 'noeviction')
  await startOn(t, hiding, { BLOCKLIST_PREFIX: 'hides:' })
  t.equal(await isDoubted('hides:'), true)
  await server.admin.set('foreign:marker', `${randomUUID()}:7`)
  await startOn(t, server.url, { BLOCKLIST_PREFIX: 'foreign:' })
  t.equal(await isDoubted('foreign:'), false)
  t.equal(await startOn(t, server.url, { BLOCKLIST_PREFIX: 'evicts:' }), undefined)
  t.equal(await isDoubted('evicts:'), false, 'the next start settles it')
})

t.test('the service does not start on a Redis replica (P2)', async t => {
  const [primary, replica] = [await ownRedis(t), await ownRedis(t)]
  const { host, port } = primary.peer()
  await replica.admin.replicaof(host, port)
  await until('it follows', async () => /master_link_status:up/.test(await replica.admin.info('replication')))
  t.equal(
    await startOn(t, replica.url),
    `REDIS_URL: the Redis at ${replica.url} is a replica, which lags and cannot be written. Name the primary.`
  )
})

t.test('the service does not start on the blocklist of another database (P2)', async t => {
  const server = await ownRedis(t)
  const env: Env = { ...await promptServersEnv(t), REDIS_URL: server.url }
  await (await build(t, env)).close()
  const marker = await server.admin.get(`${env['BLOCKLIST_PREFIX']}marker`)
  const another = await withoutTables(t, env)
  const said = await startOn(t, server.url, another)
  t.match(
    said,
    `REDIS_URL: the Redis at ${server.url} holds the blocklist of another database under the prefix ${env['BLOCKLIST_PREFIX']}. Choose another BLOCKLIST_PREFIX`
  )
  t.equal(await server.admin.get(`${env['BLOCKLIST_PREFIX']}marker`), marker, 'and leaves it as it was')
  await build(t, env)
  t.equal(await startOn(t, server.url), undefined, 'under another prefix there is room')
})

t.test('a clock that is off by more than the leeway is a flaw, in both directions, and by less is not', async t => {
  const server = await ownRedis(t)
  async function audit (offMs: number): Promise<RedisFlaw[]> {
    const clocks = createClocks({ leewaySeconds, now: () => Date.now() + offMs })
    t.same(
      await auditRedis({
        redis: server.admin,
        prefix: 'p:',
        clocks,
        holdsForeign: createOwnershipCheck('p:', async () => [])
      }),
      []
    )
    return clockFlaws(clocks.compare(), leewaySeconds)
  }
  t.same(await audit(0), [])
  // A round trip takes time, and more on a busy machine.
  for (const offMs of [4_000, -4_000]) t.same(await audit(offMs), [], `${offMs} ms`)
  for (const offMs of [8_000, -8_000]) {
    const [flaw] = await audit(offMs)
    t.match(flaw, {
      kind: 'clock',
      what: /^has a clock that differs from this machine's by [5-8]\.\d s, which is more than CLOCK_LEEWAY \(5 s\)$/,
      cure: 'Set both clocks by NTP.'
    })
  }
})

t.test('a marker or draft of another record is a flaw, and one under any name of this record is not (P2)', async t => {
  const server = await ownRedis(t)
  const ids = [randomUUID(), randomUUID()]
  const audit = async () =>
    (
      await auditRedis({
        redis: server.admin,
        prefix: 'p:',
        clocks: createClocks({ leewaySeconds }),
        holdsForeign: createOwnershipCheck('p:', async () => ids)
      })
    ).map(({ kind }) => kind)
  t.same(await audit(), [])
  for (const [marker, flaws] of [
    [`${ids[0]}:7`, []],
    [formatMarker({ recordId: String(ids[1]), position: 7 }), []],
    [`v9:${ids[1]}:7`, []],
    [`v9:${randomUUID()}:7`, ['foreign_record']],
    [newDraft(String(ids[1])), []],
    [`${randomUUID()}:7`, ['foreign_record']],
    [newDraft(randomUUID()), ['foreign_record']]
  ] as const) {
    await server.admin.set('p:marker', marker)
    t.same(await audit(), flaws, marker)
  }
  server.admin.disconnect()
  await t.rejects(audit(), 'a Redis that cannot be asked has not been found well')
})

t.test('one foreign shard makes a blocklist foreign, and a marker that cannot be read is an error (P2)', async t => {
  const server = await ownRedis(t)
  const ours = randomUUID()
  const isForeign = createOwnershipCheck('p:', async () => [ours])
  const markerOf = (tag: string) => projectionKeys(shardPrefix('p:', tag)).marker
  await server.admin.set(markerOf('a'), `${ours}:7`)
  t.equal(await isForeign({ redis: server.admin, tags: ['a', 'b'] }), false)
  await server.admin.set(markerOf('b'), `${randomUUID()}:7`)
  t.equal(await isForeign({ redis: server.admin, tags: ['a', 'b'] }), true)
  const limited = createRedisConnection(await restricted(server, '-get'), { deadlineMs: 2_000 })
  t.teardown(() => { limited.disconnect() })
  await limited.connect()
  await t.rejects(isForeign({ redis: limited, tags: ['a'] }), /NOPERM/i)
})
