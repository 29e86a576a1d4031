import { once } from 'node:events'
import { connect } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { buildWaitingApp } from '../../../src/app.ts'
import { loadConfig } from '../../../src/config.ts'
import { OutageError, SignoutError } from '../../../src/errors.ts'
import { build, buildUnready, serversEnv, type Env } from '../../support/app.ts'
import { bearer, send, type RequestOptions, type Route } from '../../support/requests.ts'

const origin = 'https://app.example.com'
const settings = { CORS_ORIGINS: `${origin},http://localhost:5173`, METRICS_TOKEN: 'x'.repeat(16) }
const exposed = 'Retry-After, WWW-Authenticate, RateLimit, RateLimit-Policy, X-Revocation-Check, X-Request-Id'
const readable = {
  vary: 'Origin',
  'access-control-allow-origin': origin,
  'access-control-expose-headers': exposed,
  'access-control-allow-credentials': undefined
}

/** Builds the app with routes that fail on purpose. */
async function appWith (t: Test, env: Env): Promise<FastifyInstance> {
  const app = buildUnready(t, loadConfig({ ...await serversEnv(t), ...env }))
  app.after(() => {
    app.get('/fail/:code', async request => { throw new SignoutError((request.params as { code: 'forbidden' }).code) })
  })
  await app.ready()
  return app
}

/** Returns the CORS headers of an answer, each with its value. */
function corsHeadersOf ({ headers }: { headers: Record<string, unknown> }): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('access-control-')))
}

const json = { headers: { 'content-type': 'application/json' } }
const answers: Array<[route: Route, status: number, options?: RequestOptions]> = [
  ['GET /health/live', 200], ['GET /.well-known/jwks.json', 200], ['GET /me', 401], ['GET /nowhere', 404],
  ['GET /login', 405], ['POST /login', 400, { ...json, body: '{' }], ['POST /login', 400, { body: {} }],
  ['POST /login', 415, { body: 'a', headers: { 'content-type': 'text/plain' } }],
  ['GET /fail/too_many_requests', 429], ['GET /fail/service_unavailable', 503], ['GET /fail/internal_error', 500],
  ['GET /%zz', 400], [`GET /users/${'x'.repeat(101)}`, 400]
]

t.test('a page of a listed origin can read every answer, errors of every kind included', async t => {
  const app = await appWith(t, settings)
  for (const [route, status, { headers, ...rest } = {}] of answers) {
    const answer = await send(app, route, { ...rest, headers: { ...headers, origin } })
    t.equal(answer.statusCode, status, route)
    t.match(answer.headers, readable, route)
  }
  t.match((await send(app, 'GET /', { headers: { origin } })).headers, { ...readable, vary: 'Accept, Origin' })
})

t.test('a page of another origin gets no CORS headers, and the answer varies by its origin', async t => {
  const app = await appWith(t, settings)
  for (const other of [
    'https://evil.example', 'null', '*', 'https://app.example.com.evil.example', 'https://app.example.com:8443',
    'http://app.example.com', 'HTTPS://APP.EXAMPLE.COM', `${origin}/`, `${origin}, ${origin}`, '', undefined
  ]) {
    const headers: Record<string, string> = other === undefined ? {} : { origin: other }
    for (const [route] of answers.slice(0, 3)) {
      const answer = await send(app, route, { headers })
      t.same(corsHeadersOf(answer), {}, `${route} ${other}`)
      t.equal(answer.headers.vary, 'Origin', `${route} ${other}`)
    }
    const preflight = await send(app, 'OPTIONS /me', {
      headers: { ...headers, 'access-control-request-method': 'DELETE' }
    })
    t.same(corsHeadersOf(preflight), {}, `${other}`)
  }
})

t.test('a preflight is answered without a token, may be kept, and lists the methods that Allow lists', async t => {
  const app = await appWith(t, settings)
  for (const [path, methods] of [
    ['/me', 'DELETE, GET, HEAD, OPTIONS'], ['/me/sessions/1', 'DELETE, OPTIONS'], ['/login', 'POST, OPTIONS'],
    ['/users', 'GET, HEAD, OPTIONS'], ['/me/password', 'PUT, OPTIONS']
  ] as const) {
    const answer = await send(app, `OPTIONS ${path}`, {
      headers: { origin, 'access-control-request-method': 'PUT', 'access-control-request-headers': 'authorization' }
    })
    t.equal(answer.statusCode, 204, path)
    t.match(answer.headers, {
      ...readable,
      allow: methods,
      'access-control-allow-methods': methods,
      'access-control-allow-headers': 'Authorization, Content-Type, X-Request-Id, X-Signout-CSRF',
      'access-control-max-age': '7200'
    }, path)
  }
  const unknown = await send(app, 'OPTIONS /nowhere', { headers: { origin, 'access-control-request-method': 'PUT' } })
  t.equal(unknown.statusCode, 404)
  const plain = await send(app, 'OPTIONS /me', { headers: { origin } })
  t.equal(plain.headers['access-control-allow-methods'], undefined, 'OPTIONS without a question is no preflight')
})

t.test('/metrics is for Prometheus: no page can read it', async t => {
  const app = await build(t, { ...await serversEnv(t), ...settings })
  for (const path of ['/metrics', '/metrics?a=b']) {
    const headers = { ...bearer(settings.METRICS_TOKEN), origin }
    t.same(corsHeadersOf(await send(app, `GET ${path}`, { headers })), {}, path)
    const preflight = { origin, 'access-control-request-method': 'GET' }
    t.same(corsHeadersOf(await send(app, `OPTIONS ${path}`, { headers: preflight })), {}, path)
  }
})

t.test('without CORS_ORIGINS no answer has a CORS header, and none varies by its origin', async t => {
  const app = await appWith(t, {})
  for (const [route] of answers) {
    const answer = await send(app, route, { headers: { origin } })
    t.same(corsHeadersOf(answer), {}, route)
    t.equal(answer.headers.vary, undefined, route)
  }
})

t.test('a page can read the 503 of the stand-in while Postgres is down', async t => {
  const outage = new OutageError('database', 'Postgres is down.')
  const waiting = buildWaitingApp(loadConfig(settings), Fastify().log, outage)
  t.teardown(() => waiting.close())
  for (const route of ['POST /login', 'GET /me', 'GET /health/ready', 'GET /%zz'] as const) {
    const answer = await send(waiting, route, { headers: { origin } })
    t.equal(answer.statusCode, route.includes('%') ? 400 : 503, route)
    t.match(answer.headers, readable, route)
  }
  const preflight = { origin, 'access-control-request-method': 'POST' }
  const answer = await send(waiting, 'OPTIONS /login', { headers: preflight })
  t.equal(answer.statusCode, 204, 'so that the page can read the 503 that follows')
})

t.test('an Origin that is sent twice is no listed origin', async t => {
  const app = await build(t, { ...await serversEnv(t), ...settings })
  const { port } = new URL(await app.listen({ port: 0 }))
  const socket = connect(Number(port), '127.0.0.1')
  socket.end(`GET /me HTTP/1.1\r\nHost: a\r\nOrigin: ${origin}\r\nOrigin: ${origin}\r\nConnection: close\r\n\r\n`)
  const [answer] = await once(socket.setEncoding('utf8'), 'data') as [string]
  t.match(answer, /^HTTP\/1\.1 401/)
  t.notMatch(answer, /access-control/i)
})
