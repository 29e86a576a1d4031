import Fastify from 'fastify'
import t from 'tap'
import { buildWaitingApp } from '../../../src/app.ts'
import { loadConfig } from '../../../src/config.ts'
import { OutageError } from '../../../src/errors.ts'
import { build, serversEnv, shareStorages } from '../../support/app.ts'
import { keepLog } from '../../support/log.ts'
import { password, signUp } from '../../support/people.ts'
import { get, send, type Route } from '../../support/requests.ts'

const storages = shareStorages(t)
const uuid = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/
const requestsIn = ({ lines }: ReturnType<typeof keepLog>, level = 30) =>
  lines().filter(line => line['msg'] === 'Request' && line['level'] === level)

t.test('X-Request-Id is taken and returned, and made where it is missing or of another form', t => storages(t, async (t, app) => {
  const idFor = async (id?: string, route: Route = 'GET /health/live') =>
    (await send(app, route, id === undefined ? {} : { headers: { 'x-request-id': id } })).headers['x-request-id']
  for (const id of ['a', 'x'.repeat(128), '0af7651916cd43dd8448eb211c80319c', '1-67891233-abcdef01:2_3.4']) {
    t.equal(await idFor(id), id)
  }
  const { pair } = await signUp(app)
  const refused = ['', ' ', 'x'.repeat(129), 'a b', 'a"b', 'ü', pair.refresh_token, pair.access_token]
  const made = [await idFor(), ...await Promise.all(refused.map(id => idFor(id)))]
  for (const id of made) t.match(id, uuid)
  t.equal(new Set(made).size, made.length, 'each is another')
  for (const route of ['GET /nowhere', 'POST /login', 'GET /me'] as const) {
    t.equal(await idFor('mine', route), 'mine', route)
  }
}))

t.test('a request is one line, and its security events have the same id', async t => {
  const log = keepLog()
  const app = await build(t, await serversEnv(t), log.logger)
  const { username } = await signUp(app)
  log.clear()
  const login = (id: string, password: string) =>
    send(app, 'POST /login?a=b', { body: { username, password }, headers: { 'x-request-id': id } })
  await login('mine', password)
  t.match(requestsIn(log), [{
    request_id: 'mine', method: 'POST', path: '/login', status: 200, duration_ms: Number, ip: '127.0.0.1'
  }])
  t.match(log.lines().filter(({ event }) => event !== undefined), [{ request_id: 'mine', event: { type: 'login' } }])
  await login('wrong', 'a wrong password')
  const failure = log.lines().findLast(({ event }) => event !== undefined)
  t.match(failure, { request_id: 'wrong', event: { type: 'login_failed' } })
  t.equal(requestsIn(log).length, 2)
  log.clear()
  for (const path of ['/health/live', '/health/ready', '/metrics']) await get(app, path)
  t.same(requestsIn(log).map(({ path }) => path), ['/metrics'], 'there is no such route here')
  t.same(requestsIn(log, 20).map(({ path }) => path), ['/health/live', '/health/ready'])
})

t.test('LOG_REQUESTS and LOG_LEVEL choose the requests that get a line', async t => {
  const env = await serversEnv(t)
  for (const [settings, logged] of [
    [{ LOG_REQUESTS: 'all' }, [200, 404]],
    [{ LOG_REQUESTS: 'errors' }, [404]],
    [{ LOG_REQUESTS: 'off' }, []],
    [{ LOG_LEVEL: 'warn' }, []]
  ] as const) {
    const log = keepLog()
    const app = await build(t, { ...env, ...settings }, log.logger)
    for (const path of ['/.well-known/jwks.json', '/nowhere']) await get(app, path)
    t.same(requestsIn(log).map(({ status }) => status), logged, JSON.stringify(settings))
    await app.close()
  }
})

t.test('while the service cannot start, requests get the ids and the lines that they get from the service', async t => {
  for (const [settings, paths] of [
    [{ TRUST_PROXY: '127.0.0.1' }, ['/me', '/login']], [{ LOG_REQUESTS: 'errors' }, []]
  ] as const) {
    const log = keepLog()
    const outage = new OutageError('blocklist', 'Redis is down.')
    const app = buildWaitingApp(loadConfig(settings), Fastify({ logger: log.logger }).log, outage)
    t.teardown(() => app.close())
    const headers = { 'x-forwarded-for': '192.0.2.1' }
    t.match((await send(app, 'GET /me', { headers })).headers['x-request-id'], uuid)
    await send(app, 'POST /login', { body: {}, headers: { ...headers, 'x-request-id': 'mine' } })
    for (const route of ['GET /health/live', 'GET /health/ready'] as const) await send(app, route)
    t.same(requestsIn(log).map(({ path }) => path), paths)
    const line = { request_id: 'mine', method: 'POST', status: 503, duration_ms: Number, ip: '192.0.2.1' }
    if (paths.length > 0) t.match(requestsIn(log).at(-1), line)
    t.same(log.lines().filter(({ level, msg }) => Number(level) >= 30 && msg !== 'Request'), [], 'no other line')
  }
})
