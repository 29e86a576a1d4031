import { setTimeout } from 'node:timers/promises'
import type { Test } from 'tap'
import { findFreePort } from '../../scripts/services/programs.ts'
import { serversEnv } from '../support/app.ts'
import { password, type Pair } from '../support/people.ts'
import type { Route } from '../support/requests.ts'
import { startServer, type ServerProcess } from '../support/server-process.ts'
import { randomName } from '../support/services.ts'
import { until } from '../support/wait.ts'
import { ask, oneConnection, type Answer, type Front } from './ask.ts'
import { hostsOf, startFakeReplicas, type FakeReplicas } from './fake-replicas.ts'
import type { StartFront } from './proxies.ts'

/** Requests whose repetition could do or show something that the client does not expect. */
const unsafe: Route[] = [
  'POST /login', 'POST /register', 'POST /refresh', 'POST /reauthenticate', 'POST /revocations', 'PUT /me/password',
  'DELETE /me'
]
const safe: Route[] = ['GET /me', 'GET /token', 'HEAD /me', 'POST /logout', 'POST /logout?scope=all']
const body = { username: 'ada', password }

/** Waits until the proxy uses every one of the replicas, and forgets what they have received. */
export async function untilAllAreUsed (
  front: Front, fakes: FakeReplicas, hosts: string[] = fakes.hosts
): Promise<void> {
  fakes.received = []
  await until('every replica is used', async () => {
    await ask(front, 'GET /me')
    return hosts.every(host => fakes.received.some(request => request.host === host))
  }, 60_000, 100)
  fakes.received = []
}

/** A replica breaks off after it has received a request. Only what is safe reaches a second one. */
export async function testRepetitions (t: Test, start: StartFront): Promise<void> {
  const routes = [...unsafe, ...safe]
  // A proxy leaves a replica that broke off alone for seconds, so several proxies share the routes.
  await Promise.all(Array.from({ length: 4 }, async (_, part) => {
    const fakes = await startFakeReplicas(t)
    const front = await start(t, fakes)
    await testRepeated(t, front, fakes, routes.filter((_, index) => index % 4 === part))
  }))
}

async function testRepeated (t: Test, front: Front, fakes: FakeReplicas, routes: Route[]): Promise<void> {
  for (const route of routes) {
    await untilAllAreUsed(front, fakes)
    fakes.toBreakOff = 1
    const answer = await ask(front, route, /^(POST|PUT)/.test(route) ? { body } : {})
    const isSafe = safe.includes(route)
    t.same(fakes.received.map(({ route }) => route), isSafe ? [route, route] : [route], `${route} is sent so often`)
    if (isSafe) t.equal(answer.status, 200, route)
    else expectOwnAnswer(t, answer, 502)
  }
}

/** A replica stops. The requests after that all succeed, and reach the other one. */
export async function testStopped (t: Test, start: StartFront): Promise<void> {
  const fakes = await startFakeReplicas(t)
  const [stopped = '', other] = fakes.hosts
  const front = await start(t, fakes)
  await untilAllAreUsed(front, fakes)
  await fakes.stop(stopped)
  for (let number = 0; number < 10; number++) {
    t.equal((await ask(front, 'GET /me')).status, 200, 'GET')
    t.equal((await ask(front, 'POST /login', { body })).status, 200, 'POST')
  }
  t.equal(fakes.received.length, 20)
  t.ok(fakes.received.every(({ host }) => host === other), 'the other replica gets all of them, and each once')
}

/** The proxy keeps its connections to the replicas. */
export async function testKeptConnections (t: Test, start: StartFront): Promise<void> {
  const fakes = await startFakeReplicas(t)
  const front = await start(t, fakes)
  await untilAllAreUsed(front, fakes)
  const agent = oneConnection(front)
  t.teardown(() => { agent.destroy() })
  fakes.connections.clear()
  for (let number = 0; number < 40; number++) {
    t.equal((await ask(front, number % 2 === 0 ? 'GET /me' : 'POST /login', { agent, body })).status, 200)
  }
  t.equal(fakes.received.length, 40)
  t.ok(fakes.connections.size <= 8, `40 requests used ${fakes.connections.size} connections`)
}

/** A replica gets the address of the client, and nothing that the client claims about it. */
export async function testHeaders (t: Test, start: StartFront): Promise<void> {
  const fakes = await startFakeReplicas(t)
  const front = await start(t, fakes)
  await untilAllAreUsed(front, fakes)
  for (const route of ['GET /me', 'POST /login', 'POST /logout', 'DELETE /me'] as const) {
    await ask(front, route, { headers: { ...forged(1), 'x-forwarded-proto': 'gopher' }, from: '127.0.0.103' })
    const { headers } = fakes.received.at(-1) ?? {}
    t.equal(headers?.['x-forwarded-for'], '127.0.0.103', route)
    t.notMatch(JSON.stringify({ ...headers, 'x-real-ip': '' }), /203\.0\.113|elsewhere|gopher/, route)
  }
}

/** The proxy answers in JSON when no replica does. */
export async function testOwnAnswers (t: Test, start: StartFront): Promise<void> {
  const fakes = await startFakeReplicas(t)
  const front = await start(t, fakes)
  await untilAllAreUsed(front, fakes)
  fakes.unready = new Set(fakes.hosts)
  await until('the answer of a replica passes unchanged', async () => {
    const { status, body } = await ask(front, 'GET /me')
    return status === 503 && fakes.hosts.some(host => body === JSON.stringify({ host }))
  }, 30_000)
  for (const host of fakes.hosts) await fakes.stop(host)
  for (const route of ['GET /me', 'POST /login', 'POST /logout', 'DELETE /me'] as const) {
    expectOwnAnswer(t, await ask(front, route), [502, 503])
  }
}

function expectOwnAnswer (t: Test, { status, headers, body }: Answer, expected: number | number[]): void {
  t.ok([expected].flat().includes(status), `${status} ${body}`)
  t.match(headers, { 'content-type': 'application/json', 'retry-after': '1' })
  t.match(JSON.parse(body), { error: 'service_unavailable', description: /\w+\.$/ })
}

/**
 * Two real replicas see the address of the client, whatever it claims. One is stopped under load, and no request fails.
 * The other one is killed when the first is back, and requests after that succeed.
 */
export async function testReplicas (t: Test, start: StartFront): Promise<void> {
  const [host = '', ...others] = hostsOf(2)
  const port = await findFreePort()
  const env = {
    ...await serversEnv(t),
    PORT: String(port),
    TRUST_PROXY: '127.0.0.1',
    LIMIT_REGISTER_BY_IP: '3/3600',
    SHUTDOWN_DELAY: '3'
  }
  const startAt = (HOST: string) => startServer(t, { ...env, HOST })
  const [first, second] = await Promise.all([host, ...others].map(startAt)) as [ServerProcess, ServerProcess]
  const front = await start(t, { hosts: [host, ...others], port })
  await until('the replicas are in use', async () => (await ask(front, 'GET /health/ready')).status === 200)
  const username = `user-${randomName()}`
  await expectLimitByAddress(t, front, username)
  const { access_token: token } = await expectTrueAddress(t, front, username)
  const headers = { authorization: `Bearer ${token}` }
  await expectDrain(t, front, first, { username, headers })
  const again = await startAt(host)
  await until('the first one is used again', async () => {
    await ask(front, 'GET /token', { headers })
    return again.output().includes('"path":"/token"')
  })
  second.child.kill('SIGKILL')
  await second.ended
  for (let number = 0; number < 6; number++) {
    t.equal((await ask(front, 'GET /token', { headers })).status, 200, 'a GET after a replica was killed')
  }
  for (let number = 0; number < 3; number++) {
    t.equal((await ask(front, 'POST /login', { body: { username, password } })).status, 200, 'a login after that')
  }
  t.equal((await ask(front, 'POST /logout', { headers })).status, 200)
  t.match(await ask(front, 'GET /token', { headers }), { status: 401, body: /"token_revoked"/ })
}

/** SIGTERM under load: the replica exits with 0, and no request fails. */
async function expectDrain (
  t: Test,
  front: Front,
  replica: ServerProcess,
  { username, headers }: { username: string, headers: Record<string, string> }
): Promise<void> {
  const answers: string[] = []
  const over = new AbortController()
  const repeat = async (route: Route, options: Parameters<typeof ask>[2]) => {
    while (!over.signal.aborted) {
      answers.push(`${route} ${(await ask(front, route, options)).status}`)
      await setTimeout(100)
    }
  }
  const login = { body: { username, password } }
  const load = Promise.all([
    repeat('GET /token', { headers }), repeat('GET /me', { headers }), repeat('POST /login', login)
  ])
  replica.child.kill('SIGTERM')
  t.equal(await replica.ended, 0)
  over.abort()
  await load
  t.same([...new Set(answers)].sort(), ['GET /me 200', 'GET /token 200', 'POST /login 200'], 'no request fails')
}

/** Headers with which a client claims to be at another address. */
const forged = (number: number) => ({
  'x-forwarded-for': `203.0.113.${number}`,
  'x-forwarded-host': 'elsewhere.example.com',
  'x-real-ip': `203.0.113.${number}`,
  forwarded: `for=203.0.113.${number}`
})

async function expectLimitByAddress (t: Test, front: Front, username: string): Promise<void> {
  const registrations = [username, ...[2, 3, 4].map(number => `${username}-${number}`)]
  const statuses: number[] = []
  for (const [index, name] of registrations.entries()) {
    const options = { body: { username: name, password }, headers: forged(index), from: '127.0.0.101' }
    statuses.push((await ask(front, 'POST /register', options)).status)
  }
  t.same(statuses, [201, 201, 201, 429], 'one address has one limit, whatever it claims')
  const other = { body: { username: `${username}-5`, password }, from: '127.0.0.102' }
  t.equal((await ask(front, 'POST /register', other)).status, 201, 'another address has a limit of its own')
}

async function expectTrueAddress (t: Test, front: Front, username: string): Promise<Pair> {
  const options = { body: { username, password }, headers: forged(9), from: '127.0.0.103' }
  const pair = JSON.parse((await ask(front, 'POST /login', options)).body) as Pair
  const sessions = await ask(front, 'GET /me/sessions', { headers: { authorization: `Bearer ${pair.access_token}` } })
  t.match(JSON.parse(sessions.body), { sessions: [{ ip: '127.0.0.103' }] }, sessions.body)
  return pair
}
