import { connect, createServer, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { findFreePort } from '../../scripts/services/programs.ts'
import { build, serversEnv } from '../support/app.ts'
import { keepLog } from '../support/log.ts'
import { labelsOf, parseMetrics } from '../support/metrics.ts'
import { signUp, signUpAdmin, signUpWithSessions } from '../support/people.ts'
import { expectError, get, logOut, send } from '../support/requests.ts'
import { messagesIn, spawnServer, startServer } from '../support/server-process.ts'
import { sessionIdOf } from '../support/sessions.ts'
import { timed } from '../support/wait.ts'

const token = 'a-token-for-those-who-scrape'
const labelNames = [
  'result', 'state', 'kind', 'scope', 'reason', 'cause', 'clock', 'limit',
  'route', 'method', 'status', 'version', 'node'
]
const textFormat = 'text/plain; version=0.0.4; charset=utf-8'

const scrape = (app: FastifyInstance, authorization?: string) =>
  send(app, 'GET /metrics', { headers: authorization === undefined ? {} : { authorization } })

/** Opens a connection, and sends a request that stays incomplete. */
async function beginScrape (t: Test, port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => { /* It is cut off, as it should be. */ })
  t.teardown(() => { socket.destroy() })
  await new Promise(resolve => socket.write('GET /metrics HTTP/1.1\r\n', resolve))
}

t.test('without METRICS_PORT and METRICS_TOKEN there are no metrics', async t => {
  const app = await build(t, await serversEnv(t))
  expectError(t, await scrape(app), 404, 'not_found')
  t.equal(await app.listenForScrapes(), undefined)
})

t.test('with METRICS_TOKEN the main port shows metrics only to requests that have the token', async t => {
  const { logger, text } = keepLog()
  const app = await build(t, { ...await serversEnv(t), METRICS_TOKEN: token }, logger)
  for (const authorization of [undefined, '', 'Bearer', 'Bearer ', `Basic ${token}`, token]) {
    const answer = await scrape(app, authorization)
    expectError(t, answer, 401, 'authorization_required', String(authorization))
    t.equal(answer.headers['www-authenticate'], 'Bearer realm="signout"')
  }
  for (const wrong of [token.slice(0, -1), `${token}x`, token.toUpperCase(), 'x', `${token} x`]) {
    const answer = await scrape(app, `Bearer ${wrong}`)
    expectError(t, answer, 401, 'invalid_token', wrong)
    t.match(answer.headers['www-authenticate'], 'error="invalid_token"')
    t.notMatch(answer.body, 'signout_')
  }
  const answer = await scrape(app, `bearer ${token}`)
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['content-type'], textFormat)
  t.match(answer.body, 'signout_checks_total')
  t.notMatch(text(), token, 'the token is not logged')
  t.equal(await app.listenForScrapes(), undefined)
  t.notOk('/metrics' in (await get(app, '/openapi.json')).json().paths)
})

t.test('METRICS_PORT opens a listener that answers /metrics and nothing else', async t => {
  const { logger, text: log } = keepLog()
  const app = await build(t, { ...await serversEnv(t), METRICS_PORT: '0', METRICS_TOKEN: token }, logger)
  const address = String(await app.listenForScrapes())
  const answer = await fetch(`${address}/metrics`)
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('content-type'), textFormat)
  t.match(await answer.text(), 'signout_checks_total')
  for (const [method, path] of [
    ['GET', '/'],
    ['GET', '/me'],
    ['GET', '/metrics/x'],
    ['GET', '/health/live'],
    ['POST', '/login']
  ] as const) {
    const answer = await fetch(address + path, { method })
    t.equal(answer.status, 404, `${method} ${path}`)
    t.match(await answer.json(), { error: 'not_found' })
  }
  const wrongMethod = await fetch(`${address}/metrics`, { method: 'POST' })
  t.equal(wrongMethod.status, 405)
  t.equal(wrongMethod.headers.get('allow'), 'GET, HEAD, OPTIONS')
  t.match(log(), `Metrics: ${address}/metrics`)
  t.notMatch(log(), 'incoming request', 'a scrape is no news')
  expectError(
    t,
    await scrape(app, `Bearer ${token}`),
    404,
    'not_found',
    'the main port has none then, whatever is sent'
  )

  await t.test('the metrics listener closes with the app, although connections are open', async t => {
    await (await fetch(`${address}/metrics`)).text()
    await beginScrape(t, Number(new URL(address).port))
    await app.close()
    await t.rejects(fetch(`${address}/metrics`))
  })
})

t.test('a METRICS_PORT that is in use stops the start with one line', async t => {
  const taken = createServer()
  await new Promise<void>(resolve => { taken.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { taken.close() })
  const { port } = taken.address() as AddressInfo
  const { ended, output } = spawnServer(t, { ...await serversEnv(t), PORT: '0', METRICS_PORT: String(port) })
  t.equal(await ended, 1)
  t.equal(
    messagesIn(output()).at(-1),
    `signout cannot start: METRICS_PORT ${port} on 127.0.0.1 is in use: stop what listens there, or choose another port.`
  )
})

t.test('a server answers metrics on METRICS_PORT, and SIGTERM ends it before its open connections end', async t => {
  const port = await findFreePort()
  const server = await startServer(t, { ...await serversEnv(t), METRICS_PORT: String(port) })
  t.match(server.output(), `Metrics: http://127.0.0.1:${port}/metrics`)
  t.match(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text(), 'nodejs_eventloop_lag_p99_seconds')
  t.equal((await fetch(`${server.address}/metrics`)).status, 404)
  await beginScrape(t, port)
  server.child.kill('SIGTERM')
  const { value: code, elapsedMs } = await timed(() => server.ended)
  t.equal(code, 0)
  t.ok(elapsedMs < 8_000, `${elapsedMs} ms, and the server has 10 s`)
})

t.test('metrics are well formed, contain no user data, and do not grow with the number of users', async t => {
  const app = await build(t, { ...await serversEnv(t), RATE_LIMITS: 'off', METRICS_TOKEN: token })
  const admin = await signUpAdmin(app)
  const text = async () => (await scrape(app, `Bearer ${token}`)).body
  const countLines = async () => (await text()).split('\n').filter(line => line.startsWith('signout_')).length
  const secrets: string[] = [admin.id, admin.username, admin.token]
  const lines: number[] = []
  for (let person = 0; person < 3; person++) {
    const { id, username, sessions } = await signUpWithSessions(app, 2)
    for (const pair of sessions) secrets.push(id, username, pair.access_token, pair.refresh_token, sessionIdOf(pair))
    await logOut(app, String(sessions[0]?.access_token))
    await get(app, `/${username}/${id}`, sessions[0]?.access_token)
    await send(app, `DELETE /users/${id}`, { token: admin.token })
    // The first person's requests add those of their routes, and the second scrape that of the first.
    for (let scrape = 0; scrape < 2; scrape++) lines[person] = await countLines()
  }
  const after = await text()
  for (const secret of secrets) t.notOk(after.includes(secret), secret)
  t.same(lines, [lines[0], lines[0], lines[0]], 'no line was added')
  for (const metric of parseMetrics(after).filter(({ name }) => name.startsWith('signout_'))) {
    // The rules of `promtool check metrics` for names.
    t.match(metric.name, /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/)
    t.equal(metric.name.endsWith('_total'), metric.type === 'counter', metric.name)
    t.notMatch(metric.name, /_(sum|count|bucket)$|_(counter|gauge|histogram|ms|milliseconds|percent)(_|$)/)
    t.ok(metric.help.endsWith('.'), metric.name)
    t.ok(labelsOf(metric).every(label => labelNames.includes(label)), metric.name)
    t.ok(metric.samples.length > 0, metric.name)
  }
})

t.test('several apps in one process have separate metrics', async t => {
  const env = { ...await serversEnv(t), METRICS_TOKEN: token }
  const [one, two] = [await build(t, env), await build(t, env)]
  const { pair } = await signUp(one)
  t.equal((await get(one, '/token', pair.access_token)).statusCode, 200)
  t.match((await scrape(one, `Bearer ${token}`)).body, 'signout_checks_total{result="accepted"} 1\n')
  t.match((await scrape(two, `Bearer ${token}`)).body, 'signout_checks_total{result="accepted"} 0\n')
})
