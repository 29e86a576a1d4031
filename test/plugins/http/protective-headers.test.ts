import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { buildWaitingApp } from '../../../src/app.ts'
import { loadConfig } from '../../../src/config.ts'
import { OutageError } from '../../../src/errors.ts'
import { build, serversEnv } from '../../support/app.ts'
import { send, type Route } from '../../support/requests.ts'

const headersOf = async (app: FastifyInstance, route: Route, accept = 'application/json') =>
  (await send(app, route, { headers: { accept } })).headers

const nonPages = [
  'GET /me', 'GET /health/live', 'GET /nowhere', 'GET /%zz', 'POST /login', 'GET /openapi.json'
] as const
const pages = ['GET /', 'GET /docs/', 'GET /docs/static/swagger-ui.css'] as const

t.test('every answer has a policy: a page admits what it loads, and any other answer nothing', async t => {
  const app = await build(t, await serversEnv(t))
  for (const route of nonPages) {
    t.match(await headersOf(app, route), {
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'", 'x-content-type-options': 'nosniff'
    }, route)
  }
  for (const route of pages) {
    const headers = await headersOf(app, route, 'text/html')
    t.match(headers, {
      'content-security-policy': /frame-ancestors 'none'/,
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'x-powered-by': undefined
    }, route)
    t.match(headers['content-security-policy'], route === 'GET /' ? "style-src 'sha256-" : "default-src 'self'", route)
  }
})

t.test('no answer makes a browser ask for HTTPS, unless HSTS_MAX_AGE is set', async t => {
  const env = await serversEnv(t)
  for (const [settings, expected] of [[{}, undefined], [{ HSTS_MAX_AGE: '600' }, 'max-age=600']] as const) {
    const app = await build(t, { ...env, ...settings })
    const outage = new OutageError('database', 'down')
    const waiting = buildWaitingApp(loadConfig(settings), Fastify().log, outage)
    t.teardown(() => waiting.close())
    for (const route of [...nonPages, ...pages]) {
      const headers = await headersOf(app, route, 'text/html')
      t.notMatch(headers['content-security-policy'], 'upgrade-insecure-requests', route)
      // Fastify calls no hooks for an address that it cannot parse.
      if (route !== 'GET /%zz') t.equal(headers['strict-transport-security'], expected, route)
    }
    t.equal((await headersOf(waiting, 'GET /me'))['strict-transport-security'], expected)
  }
})
