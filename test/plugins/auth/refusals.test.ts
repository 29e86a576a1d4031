import fastifyAuth, { type FastifyAuthFunction } from '@fastify/auth'
import t, { type Test } from 'tap'
import { createTestBlocklist } from '../../../plugins/auth/testing.ts'
import { keepLog } from '../../support/log.ts'
import { bearer, get, send } from '../../support/requests.ts'
import { goodClaims, nowSeconds } from '../../support/tokens.ts'
import { bareApp, issuer, sign } from './bare-app.ts'

const good = () => goodClaims(issuer)

t.test('a refusal has a cause, and is one line at debug, without the token', async t => {
  const log = keepLog()
  const { app } = await bareApp(t, { logger: log.logger })
  const revoked = { ...good(), jti: 'revoked' }
  await app.revoke(revoked as never)
  const cases: Array<[headers: object, code: string, cause: RegExp]> = [
    [{}, 'authorization_required', /The request has no Authorization/],
    [{ authorization: 'Basic YTpi' }, 'authorization_required', /has no bearer token/],
    [{ authorization: 'Bearer a b' }, 'invalid_token', /must be Bearer, one space or more, and a token/],
    [bearer(sign({ ...good(), jti: undefined })), 'invalid_token', /The token has no jti; it must be a text of/],
    [bearer(sign({ ...good(), sid: 5 })), 'invalid_token', /The claim sid must be a text/],
    [bearer(sign({ ...good(), iat: nowSeconds() + 99 })), 'invalid_token', /issued in the future/],
    [bearer(sign({ ...good(), exp: nowSeconds() - 9 })), 'token_expired', /expired/],
    [bearer(sign(good(), 'another secret of thirty-two bytes')), 'invalid_token', /signature is invalid/],
    [bearer(sign(revoked)), 'token_revoked', /blocklist refuses one of: token revoked, session .*, subject/]
  ]
  for (const [headers, code, cause] of cases) {
    for (const path of ['/me', '/own']) {
      log.clear()
      t.equal((await send(app, `GET ${path}` as 'GET /', { headers: headers as {} })).json().code, code)
      const lines = log.lines().filter(({ msg }) => msg === 'Authentication failed')
      t.equal(lines.length, 1, `${path}: ${code}`)
      t.match(lines[0], { level: 20, code })
      t.match(JSON.stringify(lines[0]?.['err']), cause, path)
      if ('authorization' in headers) t.notMatch(JSON.stringify(lines[0]), String(headers.authorization))
    }
  }
})

t.test('a write to request.user is a TypeError, and the log says how to keep data of one\'s own', async t => {
  const log = keepLog()
  const { app } = await bareApp(t, { logger: log.logger })
  app.decorateRequest('account', null)
  app.get('/write', { onRequest: app.authenticate }, async request => {
    Object.assign(request.user, { role: 'admin' })
  })
  app.get('/keep', { onRequest: app.authenticate }, async request => {
    Object.assign(request, { account: { role: 'admin' } })
    return (request as unknown as { account: object }).account
  })
  const token = sign(good())
  t.equal((await get(app, '/write', token)).statusCode, 500)
  t.match(log.text(), /request\.user: it is frozen.*decorateRequest\('account', null\)/)
  t.same((await get(app, '/keep', token)).json(), { role: 'admin' })
})

/** An app in which a token is one of two ways to authenticate, in either order and in each form. */
async function appOfTwoWays (t: Test) {
  const blocklist = createTestBlocklist()
  const { app } = await bareApp(t, { blocklist })
  await app.register(fastifyAuth)
  const byToken = app.authenticate as FastifyAuthFunction
  const awaited = (async (request, reply) => { await app.authenticate(request, reply) }) as FastifyAuthFunction
  const byKey: FastifyAuthFunction = (request, _reply, done) => {
    done(request.headers['x-api-key'] === 'good' ? undefined : new Error('no key'))
  }
  const bySending: FastifyAuthFunction = async (request, reply) => {
    if (request.headers['x-api-key'] !== 'good') await reply.code(401).send({ message: 'no key' })
  }
  const orders = [
    [byToken, byKey], [byKey, byToken], [awaited, byKey], [byToken, bySending], [byToken, byKey, byKey]
  ]
  for (const [name, ways] of Object.entries(orders)) {
    app.get(`/${name}`, { onRequest: app.auth(ways) }, async (request, reply) => {
      return await reply.code(Number(request.headers['x-status'] ?? 200)).send('in')
    })
  }
  app.get('/all', { onRequest: app.auth([byToken, byKey], { run: 'all' }) }, async () => 'in')
  app.get('/caught', async (request, reply) => {
    await app.authenticate(request, reply).catch(() => reply.code(401).send({ message: 'sign in' }))
    return reply
  })
  return { app, blocklist, paths: [...Object.keys(orders), 'all', 'caught'].map(name => `/${name}`) }
}

t.test('while Redis stalls, a good token is never 401 because another strategy answered last (P3)', async t => {
  const { app, blocklist, paths } = await appOfTwoWays(t)
  const [token, forged] = [sign(good()), sign(good(), 'another secret of thirty-two bytes')]
  for (const fault of [blocklist.stall, blocklist.lose]) {
    fault()
    for (const path of paths) {
      const { statusCode, headers } = await get(app, path, token)
      t.match([statusCode, headers['retry-after']], [503, '1'], path)
      t.equal((await get(app, path, forged)).statusCode, 401, `${path}: a forged token`)
      t.equal((await get(app, path)).statusCode, 401, `${path}: no token`)
      if (path === '/caught') continue
      const answer = await send(app, `GET ${path}` as 'GET /', { token, headers: { 'x-api-key': 'good' } })
      t.match([answer.statusCode, answer.headers['retry-after']], [200, undefined], path)
    }
    const forbidden = await send(app, 'GET /0', { token, headers: { 'x-api-key': 'good', 'x-status': '403' } })
    t.equal(forbidden.statusCode, 403, 'an answer of the handler')
    blocklist.recover()
  }
})

t.test('a preflight is never asked for a token, also when the check is a hook for all routes', async t => {
  const { app } = await bareApp(t)
  app.addHook('onRequest', app.authenticate)
  app.addHook('onRequest', app.requireRecentAuthentication({ maxAgeSeconds: 60 }))
  app.options('/shop', async request => `for ${request.user}`)
  app.get('/shop', async () => 'in')
  const origin = 'https://a.example'
  const preflight = { origin, 'access-control-request-method': 'GET' }
  app.all('/all', async request => `for ${request.user}`)
  t.equal((await send(app, 'OPTIONS /shop', { headers: preflight })).body, 'for null')
  t.equal((await send(app, 'OPTIONS /all', { headers: preflight })).statusCode, 401, 'its handler answers GET too')
  t.equal((await send(app, 'OPTIONS /none', { headers: preflight })).statusCode, 404)
  for (const headers of [{}, { origin }, { 'access-control-request-method': 'GET' }]) {
    t.equal((await send(app, 'OPTIONS /shop', { headers: headers as {} })).statusCode, 401)
  }
  t.equal((await send(app, 'GET /shop', { headers: preflight })).statusCode, 401)
})

t.test('a 503 has Retry-After wherever it comes from', async t => {
  const ready = async () => { throw new Error('down') }
  const blocklist = { ...createTestBlocklist({ maxTokenLifetimeSeconds: 900 }), ready }
  const { app } = await bareApp(t, { blocklist, jwt: { sign: { expiresIn: 60 } } })
  const exp = nowSeconds() + 60
  const calls: Record<string, () => Promise<unknown>> = {
    '/revoke': () => app.revoke({ jti: 'a', exp }),
    '/session': () => app.revokeSession('a', exp),
    '/subject': () => app.revokeSubject('a'),
    '/everyone': () => app.revokeEveryone(),
    '/issue': () => app.issueToken({ sub: 'a' }),
    '/list': () => app.revoker.revoke([{ scope: 'token', id: 'a', expiresAt: exp }])
  }
  for (const [path, call] of Object.entries(calls)) app.get(path, call)
  blocklist.stall()
  const token = sign(good())
  for (const path of ['/me', '/own', ...Object.keys(calls)]) {
    const { statusCode, headers } = await get(app, path, token)
    t.match([statusCode, headers['retry-after']], [503, '1'], path)
  }
})
