import t from 'tap'
import { serversEnv, type Env } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { bearer, password } from '../support/people.ts'
import { onPostgres } from '../support/record.ts'
import { ownRedis } from '../support/redis-server.ts'
import { startServer, type ServerProcess } from '../support/server-process.ts'
import { until } from '../support/wait.ts'
import { serviceRows } from './rows/service.ts'

const credentials = JSON.stringify({ username: 'ada', password })
const json = { 'content-type': 'application/json' }
const statusOf = async (server: ServerProcess, path: string, token: string, method = 'GET') =>
  (await fetch(server.address + path, { method, headers: bearer(token) })).status

async function signIn (server: ServerProcess): Promise<string> {
  const answer = await fetch(`${server.address}/login`, { method: 'POST', headers: json, body: credentials })
  return (await answer.json() as { access_token: string }).access_token
}

/** Selects the projector: the replica that holds the lease now. */
const holders = 'select holder from revocation_tail where held_until > clock_timestamp()'

testFault(t, serviceRows.projectorKilled, async t => {
  const redis = await ownRedis(t)
  const deadline = { BLOCKLIST_DEADLINE_MS: '2000' }
  const env: Env = { ...await serversEnv(t), ...deadline, REDIS_URL: redis.url, RATE_LIMITS: 'off' }
  const holder = async () => (await onPostgres<{ holder: string }>(env, holders))[0]?.holder
  const leader = await startServer(t, env)
  const [b, c] = await Promise.all([startServer(t, env), startServer(t, env)])
  const first = await holder()
  await fetch(`${leader.address}/register`, { method: 'POST', headers: json, body: credentials })
  const good = await signIn(b)
  const [before, during, unconfirmed, after] = [await signIn(b), await signIn(b), await signIn(b), await signIn(b)]
  t.equal(await statusOf(b, '/logout', before, 'POST'), 200)

  leader.child.kill('SIGKILL')
  await leader.ended
  t.equal(await statusOf(b, '/logout', during, 'POST'), 200, 'nobody waits for the projector')
  t.equal(await statusOf(c, '/token', during), 401)
  await redis.admin.flushall()
  t.not(await statusOf(b, '/token', before), 200, 'what Redis has lost is not known until another has taken over')
  await redis.admin.acl('SETUSER', 'default', '-@scripting')
  t.equal(await statusOf(b, '/logout', unconfirmed, 'POST'), 503)
  await redis.admin.acl('SETUSER', 'default', '+@all')

  const revoked = [before, during, unconfirmed]
  const accepted: string[] = []
  const startedAt = performance.now()
  await until('it has taken over', async () => {
    for (const server of [b, c]) {
      for (const token of revoked) if (await statusOf(server, '/token', token) === 200) accepted.push(token)
    }
    return await statusOf(b, '/token', good) === 200 && await statusOf(c, '/token', good) === 200
  })
  t.comment(`after ${Math.round(performance.now() - startedAt)} ms`)
  t.equal(accepted.length, 0)
  for (const server of [b, c]) for (const token of revoked) t.equal(await statusOf(server, '/token', token), 401)
  t.not(await holder(), first)
  t.equal(await statusOf(c, '/logout', after, 'POST'), 200)
  t.equal(await statusOf(b, '/token', after), 401)
})
