import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { buildApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { packageRoot } from '../../src/package-root.ts'
import { limitNames } from '../../src/limits/limits.ts'
import { defaultMaxRunning } from '../../src/users/password-hasher.ts'
import { build, embeddedEnv, onEachStorage, serversEnv, type Env } from '../support/app.ts'
import { readChanges, readMetrics } from '../support/metrics.ts'
import { password, register, signIn, signUp, signUpAdmin } from '../support/people.ts'
import { proxyTo } from '../support/proxy.ts'
import { get, refresh, send } from '../support/requests.ts'
import { until } from '../support/wait.ts'

const settings: Env = { METRICS_TOKEN: 'a-token-for-tests' }
const logins = (result: string) => `signout_logins_total{result="${result}"}`
const limited = (limit: string) => `signout_rate_limited_total{limit="${limit}"}`
const tryLogin = (app: Parameters<typeof send>[0], username: string, password: string) =>
  send(app, 'POST /login', { body: { username, password } })

t.test('logins are counted by their result', async t => {
  await onEachStorage(t, async (t, app) => {
    const admin = await signUpAdmin(app)
    const [ada, bob] = [await register(app), await register(app)]
    await send(app, `PUT /users/${bob.id}/status`, { token: admin.token, body: { status: 'disabled' } })
    const changes = await readChanges(app, 'signout_logins_total', async () => {
      await signIn(app, ada.username)
      await tryLogin(app, ada.username, 'a wrong password')
      await tryLogin(app, 'an-unknown-user', password)
      await tryLogin(app, bob.username, password)
      await tryLogin(app, ada.username, 'a wrong password')
      for (let attempt = 0; attempt < 3; attempt++) t.equal((await tryLogin(app, ada.username, 'no')).statusCode, 429)
    })
    t.same(changes, {
      [logins('succeeded')]: 1,
      [logins('invalid_credentials')]: 3,
      [logins('account_disabled')]: 1,
      [logins('too_many_requests')]: 3
    })
  }, { ...settings, LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '2/900' })
})

t.test('a login that the service cannot answer counts as unavailable or failed, and each 500 is counted', async t => {
  const env = await serversEnv(t)
  const url = new URL(String(env['DATABASE_URL']))
  const proxy = await proxyTo(t, url.hostname, Number(url.port || 5432))
  url.hostname = '127.0.0.1'
  url.port = String(proxy.port)
  const app = await build(t, { ...env, ...settings, DATABASE_URL: url.href, DATABASE_DEADLINE_MS: '2500' })
  const { username } = await register(app)
  await app.database.run(db => db.execute(sql`alter table wrong_passwords rename to elsewhere`))
  const failures = await readChanges(app, 'signout_', async () => {
    t.equal((await tryLogin(app, username, password)).statusCode, 500)
  })
  t.match(failures, { [logins('failed')]: 1, signout_internal_errors_total: 1 })
  await app.database.run(db => db.execute(sql`alter table elsewhere rename to wrong_passwords`))
  proxy.stall()
  const outages = await readChanges(app, 'signout_', async () => {
    t.equal((await tryLogin(app, username, password)).statusCode, 503)
  })
  t.match(outages, { [logins('unavailable')]: 1 })
  t.notOk('signout_internal_errors_total' in outages)
})

t.test('an answer 429 counts for the limit that was used up', async t => {
  await onEachStorage(t, async (t, app) => {
    const { username, pair } = await signUp(app)
    const seen = async (work: () => Promise<{ statusCode: number }>) => {
      const answers: number[] = []
      const changes = await readChanges(app, 'signout_rate_limited_total', async () => {
        answers.push((await work()).statusCode)
      })
      return { status: answers[0], changes }
    }
    t.same(await seen(() => tryLogin(app, username, password)), {
      status: 429, changes: { [limited('login-by-account')]: 1 }
    })
    t.equal((await refresh(app, pair.refresh_token)).statusCode, 200)
    t.same(await seen(() => refresh(app, pair.refresh_token)), {
      status: 429, changes: { [limited('refresh-by-session')]: 1 }
    })
    t.same(await seen(() => send(app, 'POST /register', { body: { username: 'someone', password } })), {
      status: 429, changes: { [limited('register-by-ip')]: 1 }
    })
    await tryLogin(app, 'unknown', 'a wrong password')
    t.same(await seen(() => tryLogin(app, 'unknown', password)), {
      status: 429, changes: { [limited('password-in-a-row')]: 1 }
    })
    const names = [...(await readMetrics(app)).keys()].filter(name => name.startsWith('signout_rate_limited_total'))
    t.same(names.sort(), limitNames.map(limited).sort(), 'and no other limit has a value')
  }, {
    ...settings,
    LIMIT_LOGIN_BY_ACCOUNT: '1/900',
    LIMIT_REGISTER_BY_IP: '1/900',
    LIMIT_REFRESH_BY_SESSION: '1/900',
    LIMIT_PASSWORD_IN_A_ROW: '1/900'
  })
})

t.test('the password queue shows the passwords that are hashed and those that wait', async t => {
  const env = { ...await serversEnv(t), ...settings, RATE_LIMITS: 'off' }
  const slow = { memoryCost: 65_536, timeCost: 3 }
  const app = buildApp(loadConfig(env), false, { hashCost: slow })
  t.teardown(() => app.close())
  await app.ready()
  const load = async () => {
    const metrics = await readMetrics(app)
    return [metrics.get('signout_password_queue_running'), metrics.get('signout_password_queue_waiting')]
  }
  t.same(await load(), [0, 0])
  const attempts = Array.from({ length: defaultMaxRunning() + 8 }, () => tryLogin(app, 'unknown', password))
  const answered = Promise.all(attempts)
  let seen: Array<number | undefined> = []
  await until('some wait', async () => {
    seen = await load()
    return Number(seen[1]) > 0
  })
  t.equal(seen[0], defaultMaxRunning())
  t.ok(Number(seen[1]) <= 8)
  await answered
  t.same(await load(), [0, 0])
})

t.test('the pool of Postgres shows its connections, and the queries that wait for one', async t => {
  const app = await build(t, { ...await serversEnv(t), ...settings })
  const pool = async () => Object.fromEntries([...await readMetrics(app)]
    .filter(([name]) => name.startsWith('signout_database_pool'))
    .map(([name, value]) => [name.replace('signout_database_pool_', ''), value]))
  let open = () => {}
  const gate = new Promise<void>(resolve => { open = resolve })
  // The app closes once no connection is in use.
  t.teardown(() => { open() })
  const held = Array.from({ length: 10 }, () => app.database.transaction(() => gate))
  await until('all connections are in use', async () => (await pool())['connections{state="busy"}'] === 10)
  const more = Array.from({ length: 3 }, () => app.database.run(db => db.execute(sql`select 1`)))
  // The service asks as well, once a second.
  await until('queries wait', async () => Number((await pool())['waiting']) >= 3)
  t.match(await pool(), { 'connections{state="busy"}': 10, 'connections{state="idle"}': 0, max_connections: 10 })
  open()
  await Promise.all([...held, ...more])
  await until('none waits', async () => (await pool())['waiting'] === 0)
  await until('they are idle', async () => Number((await pool())['connections{state="idle"}']) >= 8)
  t.equal((await pool())['max_connections'], 10)
})

t.test('in embedded mode the metrics of the pool are absent', async t => {
  const app = await build(t, { ...await embeddedEnv(t), ...settings })
  const metrics = await readMetrics(app)
  t.same([...metrics.keys()].filter(name => name.startsWith('signout_database_pool')), [])
  t.equal(metrics.get('signout_password_queue_running'), 0, 'unlike the others')
})

t.test('signout_build_info has the versions of signout and Node.js', async t => {
  const app = await build(t, { ...await serversEnv(t), ...settings })
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }
  const built = [...await readMetrics(app)].filter(([name]) => name.startsWith('signout_build_info'))
  t.same(built, [[`signout_build_info{version="${version}",node="${process.versions.node}"}`, 1]])
})

t.test('one replica is the projector, and when it closes another one is', async t => {
  const env = { ...await serversEnv(t), ...settings }
  const replicas = [await build(t, env), await build(t, env)]
  const projectors = async () => await Promise.all(replicas.map(async app =>
    (await readMetrics(app)).get('signout_projector')))
  await until('one is the projector', async () => (await projectors()).includes(1))
  const [first, second] = await projectors()
  t.same([first, second].sort(), [0, 1])
  const [projector, other] = (first === 1 ? replicas : [...replicas].reverse()) as [FastifyInstance, FastifyInstance]
  const request = await beginRequest(t, projector)
  let isClosed = false
  const closed = projector.close().then(() => { isClosed = true })
  await until('the other one is', async () => (await readMetrics(other)).get('signout_projector') === 1)
  t.equal(isClosed, false, 'it gives way when closing begins: a request is still under way')
  request.destroy()
  await closed
  await expectProjectorWhenEmbedded(t)
})

/** Begins a request whose body does not end. A service that closes waits for it. */
async function beginRequest (t: Test, app: FastifyInstance): Promise<Socket> {
  const arrived = once(app.server, 'request')
  const socket = connect(Number(new URL(await app.listen({ port: 0, host: '127.0.0.1' })).port), '127.0.0.1')
  socket.on('error', () => { /* It may be cut off. */ })
  t.teardown(() => { socket.destroy() })
  socket.write('POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{')
  await arrived
  return socket
}

async function expectProjectorWhenEmbedded (t: Test): Promise<void> {
  const app = await build(t, { ...await embeddedEnv(t), ...settings })
  await until('it is the projector', async () => (await readMetrics(app)).get('signout_projector') === 1)
  t.equal((await get(app, '/health/ready')).statusCode, 200)
}
