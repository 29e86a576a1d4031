import t from 'tap'
import {
  ask, askUntilAnswered, claims, openBlocklist, openDatabase, prefix, session, token, whenReady
} from '../blocklist/record-scene.ts'
import { onRedis } from '../support/cut-off.ts'
import { testFault } from '../support/fault.ts'
import { canOwnPostgres, ownPostgres } from '../support/postgres-server.ts'
import { ownRedis } from '../support/redis-server.ts'
import { nowSeconds } from '../support/tokens.ts'
import { until } from '../support/wait.ts'
import { serviceRows } from './rows/service.ts'

/** These tests use the plugin with a record in Postgres. */

testFault(t, serviceRows.pluginRecord, async t => {
  const server = await ownRedis(t)
  const database = await openDatabase(t)
  const replicas = [await openBlocklist(t, server.url, database), await openBlocklist(t, server.url, database)] as const
  const [a, b] = replicas
  await whenReady(a, b)
  const old = await server.snapshot()
  const kept = claims('kept', 'grace', nowSeconds() - 100)
  const early = claims('early', 'ada', nowSeconds() - 100)
  await a.revoke([token('revoked'), session('s-session')])
  await a.revokeSubject?.('ada')
  const expected = [true, true, true, false]
  const askAll = async () => await Promise.all([a, b].map(blocklist =>
    Promise.all([claims('revoked', 'x'), claims('session', 'x'), early, kept].map(token => ask(blocklist, token)))))
  t.same(await askAll(), [expected, expected])
  for (const [name, lose] of Object.entries({
    FLUSHALL: () => onRedis(server.url, redis => redis.flushall()),
    'a restart without data': async () => { await server.kill(); await server.start() },
    'an old snapshot': async () => { await server.kill(); await server.start(old) },
    'an entry that is deleted together with the marker': () =>
      onRedis(server.url, redis => redis.del(`${prefix}jti:revoked`, `${prefix}marker`))
  })) {
    await lose()
    const answers = await askUntilAnswered(replicas, claims('revoked', 'x'))
    t.notOk(answers.has(false), `${name}: ${[...answers].join()}`)
    await whenReady(a, b)
    t.same(await askAll(), [expected, expected], name)
  }
})

testFault(t, serviceRows.pluginRecordPostgres, async t => {
  const server = await ownRedis(t)
  const postgres = await ownPostgres(t)
  const database = await openDatabase(t, postgres.url)
  const blocklist = await openBlocklist(t, server.url, database, { deadlineMs: 3_000 })
  await whenReady(blocklist)
  await blocklist.revoke([token('before')])
  const marker = async () => String(await server.admin.get(`${prefix}marker`))
  await until('the marker has passed it', async () => (await marker()).endsWith(':1'))
  postgres.pause()
  t.teardown(() => { postgres.resume() })
  await t.rejects(blocklist.revoke([token('during')]), { name: 'DeadlineError' })
  t.same([await ask(blocklist, claims('before')), await ask(blocklist, claims('kept'))], [true, false])
  postgres.resume()
  await until('it works again', () => blocklist.revoke([token('after')]).then(() => true, () => false))
  t.equal(await ask(blocklist, claims('after')), true)
}, { skip: !canOwnPostgres })
