import t from 'tap'
import { serversEnv, type Env } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { password, signInAt } from '../support/people.ts'
import { onPostgres } from '../support/record.ts'
import { ownRedis } from '../support/redis-server.ts'
import { fetchFrom, type Route } from '../support/requests.ts'
import { startServer, type ServerProcess } from '../support/server-process.ts'
import { until } from '../support/wait.ts'
import { serviceRows } from './rows/service.ts'

const statusOf = async ({ address }: ServerProcess, route: Route, token: string) =>
  (await fetchFrom(address, route, { token })).status

const signIn = async ({ address }: ServerProcess) => (await signInAt(address, 'ada')).access_token

/** Selects the projector: the replica that holds the lease now. */
const holders = 'select holder from projector_lease where held_until > clock_timestamp()'

const holderIn = async (env: Env) => (await onPostgres<{ holder: string }>(env, holders))[0]?.holder

/** Gives the lease to a replica, as if it had renewed it. */
const giveLease = "update projector_lease set holder = $1, held_until = clock_timestamp() + interval '2 seconds'"

testFault(t, serviceRows.projectorKilled, async t => {
  const redis = await ownRedis(t)
  const env: Env = { ...await serversEnv(t), REDIS_URL: redis.url, RATE_LIMITS: 'off' }
  const leader = await startServer(t, env)
  let first: string | undefined
  await until('it has the lease', async () => (first = await holderIn(env)) !== undefined)
  const [b, c] = await Promise.all([startServer(t, env), startServer(t, env)])
  await fetchFrom(leader.address, 'POST /register', { body: { username: 'ada', password } })
  const [good, before, during] = [await signIn(b), await signIn(b), await signIn(b)]
  const [unconfirmed, after] = [await signIn(b), await signIn(b)]
  t.equal(await statusOf(b, 'POST /logout', before), 200)

  // On a busy machine, the lease is not always renewed within its two seconds, and another server has it now.
  await onPostgres(env, giveLease, [first])
  leader.child.kill('SIGKILL')
  await leader.ended
  t.equal(await statusOf(b, 'POST /logout', during), 200, 'a logout does not wait for the projector')
  t.equal(await statusOf(c, 'GET /token', during), 401)
  await redis.admin.flushall()
  t.not(await statusOf(b, 'GET /token', before), 200, 'what Redis has lost is not known until another has taken over')
  await redis.admin.acl('SETUSER', 'default', '-@scripting')
  t.equal(await statusOf(b, 'POST /logout', unconfirmed), 503)
  await redis.admin.acl('SETUSER', 'default', '+@all')

  const revoked = [before, during, unconfirmed]
  const accepted: string[] = []
  const startedAt = performance.now()
  await until('it has taken over', async () => {
    for (const server of [b, c]) {
      for (const token of revoked) if (await statusOf(server, 'GET /token', token) === 200) accepted.push(token)
    }
    return await statusOf(b, 'GET /token', good) === 200 && await statusOf(c, 'GET /token', good) === 200
  }, 20_000)
  t.comment(`after ${Math.round(performance.now() - startedAt)} ms`)
  t.equal(accepted.length, 0)
  for (const server of [b, c]) for (const token of revoked) t.equal(await statusOf(server, 'GET /token', token), 401)
  t.not(await holderIn(env), first)
  t.equal(await statusOf(c, 'POST /logout', after), 200)
  t.equal(await statusOf(b, 'GET /token', after), 401)
})
