import t from 'tap'
import { build } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { signIn } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { keepAsking, logOutFor, proxied, startReplicas, untilAccepted } from '../support/replicas.ts'
import { onPostgres } from '../support/record.ts'
import { get, logOut, outcome } from '../support/requests.ts'
import { busyMs, until } from '../support/wait.ts'
import { serviceRows } from './rows/service.ts'

/** Notes each time that a replica takes the lease while another replica holds it. */
const noteTheft = `
  create table thefts (holder uuid);
  create function note_theft() returns trigger language plpgsql as
    'begin insert into thefts values (new.holder); return null; end';
  create trigger note_theft after update on projector_lease for each row
    when (new.holder <> old.holder and old.held_until > clock_timestamp()) execute function note_theft()`

testFault(t, serviceRows.replacedRedis, async t => {
  const [old, successor] = [await ownRedis(t), await ownRedis(t)]
  const { proxy, env } = await proxied(t, { REDIS_URL: old.url }, 'REDIS_URL')
  const { a, b, holderOfA, env: settings, good, leaving } = await startReplicas(t, env, { REDIS_URL: old.url })
  t.equal(outcome(await get(b, '/token', leaving)), '200')
  proxy.lead(successor.port)
  await until('it is noticed', async () => (await get(a, '/token', good)).statusCode === 503)
  await until('the first one has filled the new Redis', async () => {
    // Keeps the lease for the first replica: while it reconnects, the second one could write to the old Redis.
    await onPostgres(
      settings,
      'update projector_lease set holder = $1, held_until = clock_timestamp() + $2::interval',
      [holderOfA, '5 seconds']
    )
    return (await get(a, '/token', good)).statusCode === 200
  }, 15_000)
  t.equal(outcome(await get(b, '/token', good)), '200', 'so far nothing has happened that the old one does not know')
  await logOutFor(t, a, leaving)
  const loggedOutAt = performance.now()
  let acceptedAt = 0
  await until('it is refused', async () => {
    const askedAt = performance.now()
    const { statusCode } = await get(b, '/token', leaving)
    if (statusCode === 200) acceptedAt = askedAt
    return statusCode === 503
  }, 15_000)
  t.ok(acceptedAt - loggedOutAt < 5_300 + busyMs, `it was trusted for ${Math.round(acceptedAt - loggedOutAt)} ms`)
  await until(
    'it is known for certain', async () => outcome(await get(b, '/token', leaving)) === '401 token_revoked', 15_000
  )
  for (const app of [a, b]) t.equal(outcome(await get(app, '/token', good)), '200', 'everybody else goes on')
  await old.kill()
  await old.start()
  t.equal((await logOut(a, leaving)).statusCode, 401)
})

t.test('a replica without the lease does nothing, and a replica that closes releases the lease at once', async t => {
  const { a, b, apps, holderOfA, env, redis, good, leaving } = await startReplicas(t)
  const holder = async () =>
    (
      await onPostgres<{ holder: string, is_held: boolean }>(
        env, 'select holder, held_until > clock_timestamp() as is_held from projector_lease'
      )
    )[0]
  await until('one of them has the lease', async () => (await holder())?.is_held === true)
  await onPostgres(env, noteTheft)
  await logOutFor(t, b, leaving)
  await redis.admin.flushall()
  await untilAccepted(apps, good)
  t.same(await onPostgres(env, 'select holder from thefts'), [], 'no replica takes a lease that another one holds')
  await a.close()
  const left = await holder()
  t.ok(left?.is_held === false || left?.holder !== holderOfA, 'the lease is free, or another replica has it')
  await redis.admin.flushall()
  await untilAccepted([b], good)
  t.not((await holder())?.holder, holderOfA)
  t.equal(outcome(await get(b, '/token', leaving)), '401 token_revoked')
  const c = await build(t, env)
  t.equal(outcome(await get(c, '/token', good)), '200')
})

testFault(t, serviceRows.projectorCutOff, async t => {
  const redis = await ownRedis(t)
  const { proxy, env } = await proxied(t, { REDIS_URL: redis.url }, 'REDIS_URL')
  const { a, b, good, leaving, username } = await startReplicas(t, env, { REDIS_URL: redis.url })
  proxy.stop()
  await until('it is noticed', async () => (await get(a, '/token', good)).statusCode === 503)
  await logOutFor(t, b, leaving)
  const stop = keepAsking([b], good)
  // Longer than a marker may lag, with logouts to write to Redis.
  for (let logout = 0; logout < 8; logout++) {
    await logOutFor(t, b, (await signIn(b, username)).access_token)
    await new Promise(resolve => setTimeout(resolve, 800))
  }
  await stop.stop()
  t.same(stop.said.map(answers => [...answers]), [['200']])
  t.equal(outcome(await get(b, '/token', leaving)), '401 token_revoked')
})
