import { decodeProtectedHeader } from 'jose'
import t, { type Test } from 'tap'
import { everyoneName } from '../../src/entries/revocation.ts'
import { serversEnv, type Env } from '../support/app.ts'
import { entriesInRedis } from '../support/blocklist.ts'
import { asProcess } from '../support/cli.ts'
import { testFault } from '../support/fault.ts'
import { ageSpare } from '../support/keys.ts'
import { password, signInAt, type Pair } from '../support/people.ts'
import { canOwnPostgres, ownPostgres } from '../support/postgres-server.ts'
import { onPostgres } from '../support/record.ts'
import { ownRedis, type OwnRedis } from '../support/redis-server.ts'
import { fetchFrom, type Route } from '../support/requests.ts'
import { startServer, type ServerProcess } from '../support/server-process.ts'
import { until } from '../support/wait.ts'
import { keyRows } from './rows/keys.ts'

const kidOf = (token: string) => String(decodeProtectedHeader(token).kid)

/** The settings of replicas on a machine that is busy with other tests. */
const patience: Env = { BLOCKLIST_DEADLINE_MS: '3000', RATE_LIMITS: 'off' }

/** Starts two replicas as processes, with a Redis of their own, and a user who is an administrator. */
async function startBoth (t: Test, settings: Env = {}) {
  const redis = await ownRedis(t)
  const env: Env = { ...await serversEnv(t), ...patience, REDIS_URL: redis.url, ...settings }
  const servers = [await startServer(t, env), await startServer(t, env)] as const
  await fetchFrom(servers[0].address, 'POST /register', { body: { username: 'ada', password } })
  await onPostgres(env, "update users set role = 'admin'")
  return { redis, env, servers, signIn: () => signInAt(servers[0].address, 'ada') }
}

/** Sends a request to a process, and returns the status, with the code of an error. */
async function ask ({ address }: ServerProcess, route: Route, token?: string, body?: object): Promise<string> {
  const answer = await fetchFrom(address, route, { token, body })
  return answer.ok ? String(answer.status) : `${answer.status} ${(await answer.json() as { error: string }).error}`
}

const check = (server: ServerProcess, { access_token: token }: Pair) => ask(server, 'GET /token', token)

/** Refreshes until that is answered with a pair. */
async function refreshed (server: ServerProcess, pair: Pair): Promise<Pair> {
  let next: Pair | undefined
  await until('a client refreshes', async () => {
    const answer = await fetchFrom(server.address, 'POST /refresh', { body: { refresh_token: pair.refresh_token } })
    if (answer.ok) next = await answer.json() as Pair
    return answer.ok
  }, 30_000, 100)
  return next as Pair
}

/** Asks every replica about tokens that must be refused, until all refuse for good and accept a good one. */
async function expectRefusedUntilBack (
  t: Test, servers: readonly ServerProcess[], refused: readonly Pair[], good: Pair
): Promise<void> {
  const said = new Set<string>()
  const askAll = async () => {
    const answers = await Promise.all(servers.flatMap(server => refused.map(pair => check(server, pair))))
    for (const answer of answers) said.add(answer)
    return answers
  }
  await until('every replica answers again', async () => {
    await askAll()
    const answers = await Promise.all(servers.map(server => check(server, good)))
    return answers.every(answer => answer === '200')
  }, 30_000)
  await until('every replica refuses them for good', async () =>
    (await askAll()).every(answer => /^401 (token_revoked|invalid_token)$/.test(answer)), 30_000)
  t.notOk(said.has('200'), [...said].join())
  t.same([...said].filter(answer => !/^(401 |503 revocation_unavailable)/.test(answer)), [])
}

const outages: Array<[name: string, begin: (redis: OwnRedis) => unknown, end: (redis: OwnRedis) => unknown]> = [
  ['it stalls', redis => { redis.pause() }, redis => { redis.resume() }],
  ['it dies', redis => redis.kill(), redis => redis.start()]
]

testFault(t, keyRows.compromisedWithoutRedis, async t => {
  const { redis, env, servers, signIn } = await startBoth(t)
  for (const [name, begin, end] of outages) {
    const pair = await signIn()
    const kid = kidOf(pair.access_token)
    for (const server of servers) t.equal(await check(server, pair), '200', `${name}: the replica remembers the token`)
    await begin(redis)
    const { code, stderr } = await asProcess.signout(t, ['keys', 'retire', kid, '--compromised'], { env })
    t.equal(code, 3, `${name}: ${stderr}`)
    t.match(stderr, /^signout: The revocation is recorded, and takes effect automatically when Redis returns\./)
    t.same(await onPostgres(env, 'select scope from revocations where id = $1', [kid]), [{ scope: 'key' }])
    // At once, because each may wait for the deadline.
    for (const answer of await Promise.all(servers.map(server => check(server, pair)))) {
      t.match(answer, /^(503 revocation_unavailable|401 invalid_token)$/, name)
    }
    const back = Promise.resolve(end(redis))
    const next = await refreshed(servers[1], pair)
    t.not(kidOf(next.access_token), kid)
    await expectRefusedUntilBack(t, servers, [pair], next)
    await back
    await until('the entry is in Redis', async () => (await entriesInRedis(env)).has(`kid:${kid}`), 20_000)
  }
})

testFault(t, keyRows.emptyAfterEveryone, async t => {
  const { redis, env, servers, signIn } = await startBoth(t)
  const first = await signIn()
  const kid = kidOf(first.access_token)
  const compromise = ['keys', 'retire', kid, '--compromised']
  t.match(await asProcess.signout(t, compromise, { env }), { code: 0, stderr: '' })
  const second = await refreshed(servers[0], first)
  const reason = ['--reason', 'A test of an incident', '--yes']
  t.match(await asProcess.signout(t, ['revoke', '--everyone', ...reason], { env }), { code: 0, stderr: '' })
  const third = await signIn()
  t.equal(kidOf(third.access_token), kidOf(second.access_token), 'everyone alone refuses the second token')
  for (const server of servers) {
    t.same([await check(server, second), await check(server, third)], ['401 token_revoked', '200'])
    t.match(await check(server, first), /^401 /)
  }
  await redis.kill()
  const back = redis.start()
  await expectRefusedUntilBack(t, servers, [first, second], third)
  await back
  const entries = await entriesInRedis(env)
  t.same([entries.has(`kid:${kid}`), entries.has(everyoneName)], [true, true])
})

testFault(t, keyRows.rotationWithoutPostgres, async t => {
  const postgres = await ownPostgres(t)
  const { env, servers, signIn } = await startBoth(t, { DATABASE_URL: postgres.url })
  const pair = await signIn()
  const kid = kidOf(pair.access_token)
  await onPostgres(env, ageSpare)
  await postgres.kill()
  for (const server of servers) {
    t.equal(await ask(server, 'POST /keys/rotate', pair.access_token), '503 service_unavailable')
    t.equal(await ask(server, 'POST /login', undefined, { username: 'ada', password }), '503 service_unavailable')
    t.equal(await check(server, pair), '200')
  }
  const { code, stderr } = await asProcess.signout(t, ['keys', 'rotate'], { env })
  t.equal(code, 3)
  t.match(stderr, /^signout: DATABASE_URL: /)

  await postgres.start()
  let next: Pair | undefined
  await until('people sign in again', async () => {
    next = await signIn().catch(() => undefined)
    return next !== undefined
  }, 20_000, 100)
  t.equal(kidOf(String(next?.access_token)), kid, 'the key before signs')
  const states = async () =>
    (await onPostgres<{ state: string }>(env, 'select state from signing_keys order by state')).map(row => row.state)
  t.same(await states(), ['active', 'spare'])
  t.equal(await ask(servers[1], 'POST /keys/rotate', String(next?.access_token)), '200', 'repeated')
  t.same(await states(), ['active', 'retired', 'spare'])
  for (const server of servers) t.equal(await check(server, pair), '200')
  t.not(kidOf((await signIn()).access_token), kid)
}, { skip: !canOwnPostgres })

testFault(t, keyRows.pausedOverRotation, async t => {
  const { env, servers: [running, paused], signIn } = await startBoth(t)
  const acts = { rotated: ['keys', 'rotate'], compromised: ['keys', 'retire', '', '--compromised'] }
  for (const [name, args] of Object.entries(acts)) {
    const before = await signIn()
    const kid = kidOf(before.access_token)
    t.equal(await check(paused, before), '200', 'the replica remembers the token')
    await onPostgres(env, ageSpare)
    paused.child.kill('SIGSTOP')
    try {
      const { code, stderr } = await asProcess.signout(t, args.map(arg => arg === '' ? kid : arg), { env })
      t.equal(code, 0, `${name}: ${stderr}`)
      const after = await refreshed(running, before)
      t.not(kidOf(after.access_token), kid)
      // These requests wait in the socket of the replica, which has not read the keys since.
      const answers = [before, after, before].map(pair => check(paused, pair))
      paused.child.kill('SIGCONT')
      const [first = '', second, last] = await Promise.all(answers)
      t.equal(second, '200', `${name}: a token of the next key`)
      // A refresh has revoked nothing: the token before is good until it expires, unless its key is not.
      t.match(first, name === 'rotated' ? /^200$/ : /^401 (token_revoked|invalid_token)$/, name)
      t.equal(last, first)
      const later = await signInAt(paused.address, 'ada')
      t.equal(kidOf(later.access_token), kidOf(after.access_token), 'it signs with the next key')
    } finally {
      paused.child.kill('SIGCONT')
    }
  }
})
