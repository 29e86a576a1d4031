import t from 'tap'
import { formatMarker } from '../../src/record/marker.ts'
import { testFault } from '../support/fault.ts'
import { password, signIn } from '../support/people.ts'
import { fillRecord, onPostgres } from '../support/record.ts'
import {
  expectNeverAccepted, keepAsking, logOutFor, proxied, startReplicas, untilAccepted
} from '../support/replicas.ts'
import { promptServersEnv } from '../support/app.ts'
import { get, logOut, outcome, send } from '../support/requests.ts'
import { until } from '../support/wait.ts'
import { postgresRows } from './rows/postgres.ts'

testFault(t, postgresRows.down, async t => {
  const { proxy, env } = await proxied(t, await promptServersEnv(t), 'DATABASE_URL')
  const replicas = await startReplicas(t, { DATABASE_URL: String(env['DATABASE_URL']), DATABASE_DEADLINE_MS: '5000' })
  const { a, b, apps, good, leaving, username } = replicas
  await logOutFor(t, a, leaving)
  const pair = await signIn(a, username)
  // Replicas may have read its position as the head, while the marker has not reached it.
  await logOutFor(t, b, (await signIn(b, username)).access_token)
  proxy.stop()
  const askedFrom = performance.now()
  // Longer than a marker may lag.
  while (performance.now() < askedFrom + 6_000) {
    for (const app of apps) {
      t.equal(outcome(await get(app, '/token', good)), '200')
      t.equal(outcome(await get(app, '/token', leaving)), '401 token_revoked')
    }
    await new Promise(resolve => setTimeout(resolve, 500))
  }
  for (const [name, answer] of Object.entries({
    'GET /me': await get(a, '/me', good),
    'POST /logout': await logOut(a, good),
    'POST /logout with a refresh token': await send(b, 'POST /logout', { body: { refresh_token: pair.refresh_token } }),
    'POST /login': await send(b, 'POST /login', { body: { username, password } })
  })) {
    t.equal(outcome(answer), '503 service_unavailable', name)
    t.equal(answer.headers['retry-after'], '1', name)
  }

  await t.test(
    'a replica that reconnects to Redis answers 503 until it has compared, and recovers automatically',
    async t => {
      await replicas.redis.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
      const stop = keepAsking(apps, good)
      await until('it is noticed', () => stop.said.every(answers => answers.has('503 revocation_unavailable')))
      for (const answers of stop.said) answers.clear()
      await new Promise(resolve => setTimeout(resolve, 1_500))
      await until('each replica has answered since', () => stop.said.every(answers => answers.size > 0))
      t.same(
        stop.said.map(answers => [...answers]), [['503 revocation_unavailable'], ['503 revocation_unavailable']]
      )
      await stop.stop()
      t.equal(outcome(await logOut(a, good)), '503 service_unavailable', 'neither of them can say')
      await expectNeverAccepted(t, replicas, leaving, async () => {
        await until(
          'the revoked token was asked about', async () => (await get(a, '/token', leaving)).statusCode === 503
        )
        proxy.start()
      })
    }
  )
})

testFault(t, postgresRows.restored, async t => {
  const replicas = await startReplicas(t)
  const { a, apps, env, redis, log, leaving, username, good } = replicas
  const marker = () => redis.admin.get(`${env['BLOCKLIST_PREFIX']}marker`)
  await logOutFor(t, a, leaving)
  const [backup] = await onPostgres<{ position: number, id: string }>(
    env, 'select max(position)::int as position, (select id from records) as id from revocations'
  )
  const { access_token: lost } = await signIn(a, username)
  await logOutFor(t, a, lost)
  await fillRecord(env, 10)
  const marked = formatMarker({ recordId: String(backup?.id), position: Number(backup?.position) + 12 })
  await until('all of it is marked', async () => await marker() === marked)
  const { said, stop } = keepAsking(apps, leaving)
  const recordIds = async () =>
    (await onPostgres<{ id: string }>(env, 'select id from records order by number')).map(({ id }) => id)
  await onPostgres(
    env,
    `begin; delete from revocations where position > ${backup?.position}; select setval('revocations_position_seq', ${backup?.position}); update records set marked = ${backup?.position}; commit`
  )
  await until('the record has another name', async () => (await recordIds()).length === 2)
  const [, renamed] = await recordIds()
  const again = formatMarker({ recordId: String(renamed), position: Number(backup?.position) })
  await until('everything was written again', async () => await marker() === again)
  await untilAccepted(apps, good)
  await stop()
  t.notOk(said.some(answers => answers.has('200')), 'it is never accepted')
  const errors = log.filter(line => (JSON.parse(line) as { level: number }).level === 50)
  t.ok(errors.some(line => line.includes('restored from a backup')), errors.join(''))
  for (const app of apps) {
    t.equal(outcome(await get(app, '/token', leaving)), '401 token_revoked')
    t.equal(
      outcome(await get(app, '/token', lost)),
      '401 token_revoked',
      'nor is anything removed from Redis that the record has lost'
    )
  }

  await t.test('a restart of Redis with an old snapshot does not bring it back', async t => {
    const old = await redis.snapshot()
    const { access_token: next } = await signIn(a, username)
    await logOutFor(t, a, next)
    await expectNeverAccepted(t, replicas, next, async () => {
      await redis.kill()
      await redis.start(old)
    })
    await expectNeverAccepted(t, replicas, leaving, async () => {
      await redis.kill()
      await redis.start()
    })
  })
})
