import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import auth, {
  createMemoryBlocklist,
  createRedisBlocklist,
  createRedisConnection,
  type Blocklist
} from '../../../plugins/auth/auth.ts'
import { loadConfig } from '../../../src/config.ts'
import { build, buildUnready, serversEnv } from '../../support/app.ts'
import { ownRedis } from '../../support/redis-server.ts'
import { get } from '../../support/requests.ts'
import { forge, goodClaims, hs256, nowSeconds, wrongTokens } from '../../support/tokens.ts'
import { until } from '../../support/wait.ts'

const secret = 'the secret of somebody else\'s app'
const issuer = 'another-issuer'
const header = { alg: 'HS256', typ: 'JWT' }
const sign = (payload: object) => forge(header, payload, hs256(secret))

/** The routes of the app: one allows, one refuses, one says nothing, and one only calls `jwtVerify`. */
const routes = ['/allow', '/refuse', '/silent', '/raw']

/** An app with a route of each policy. */
async function bareApp (t: Test, blocklist: Blocklist): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(auth, {
    blocklist,
    jwt: { secret, verify: { algorithms: ['HS256'], allowedIss: issuer, allowedAud: issuer, cache: true } }
  })
  const onRequest = app.authenticate
  app.get('/allow', { onRequest, config: { onRevocationUnavailable: 'allow' } }, async request => ({
    ...request.user,
    frozen: Object.isFrozen(request.user)
  }))
  app.get('/refuse', { onRequest, config: { onRevocationUnavailable: 'refuse' } }, async () => 'in')
  app.get('/silent', { onRequest }, async () => 'in')
  app.get(
    '/raw',
    {
      onRequest: async request => {
        await request.jwtVerify()
      },
      config: { onRevocationUnavailable: 'allow' }
    },
    async () => 'in'
  )
  return app
}

/** A blocklist that works until it is broken. */
function breakable (): Blocklist & { isBroken: boolean } {
  const memory = createMemoryBlocklist({ leewaySeconds: 5, deadlineMs: 100 })
  return {
    ...memory,
    isBroken: false,
    isRevoked (claims) { return this.isBroken ? Promise.reject(new Error('ECONNREFUSED')) : memory.isRevoked(claims) }
  }
}

t.test('a route may accept an unchecked token and says so in its answer, and other routes refuse it (P3)', async t => {
  const blocklist = breakable()
  const app = await bareApp(t, blocklist)
  const claims = goodClaims(issuer)
  const token = sign(claims)
  t.notOk((await get(app, '/allow', token)).headers['x-revocation-check'], 'nothing is said while it is checked')

  blocklist.isBroken = true
  const allowed = await get(app, '/allow', token)
  t.equal(allowed.statusCode, 200)
  t.equal(allowed.headers['x-revocation-check'], 'unavailable')
  t.notOk(allowed.headers['retry-after'])
  t.same(allowed.json(), { ...claims, frozen: true })
  for (const url of ['/refuse', '/silent', '/raw']) {
    const refused = await get(app, url, token)
    t.equal(refused.statusCode, 503, url)
    t.equal(refused.json().code, 'revocation_unavailable', url)
    t.notOk(refused.headers['x-revocation-check'], url)
  }
  blocklist.isBroken = false
  t.notOk((await get(app, '/allow', token)).headers['x-revocation-check'], 'nor once it is checked again')
})

t.test('a revoked token is refused on every route, whatever its policy', async t => {
  const app = await bareApp(t, breakable())
  const claims = goodClaims(issuer)
  for (const url of routes) t.equal((await get(app, url, sign(claims))).statusCode, 200, `${url}: good before`)
  await app.revoker.revoke([{ scope: 'token', id: String(claims['jti']), expiresAt: Number(claims['exp']) }])
  for (const url of routes) {
    const { statusCode, body } = await get(app, url, sign(claims))
    t.same([statusCode, JSON.parse(body).code], [401, 'token_revoked'], url)
  }
})

t.test('an expired or wrong token is a 401 on every route, also while the blocklist is unreachable', async t => {
  const blocklist = breakable()
  const app = await bareApp(t, blocklist)
  const wrong = Object.entries(wrongTokens(header, goodClaims(issuer)))
    .map(([name, { header, payload, code = 'invalid_token' }]) => (
      { name, code, token: forge(header, payload, hs256(secret)) }
    ))
  const signedByOther = forge(header, goodClaims(issuer), hs256('x'.repeat(32)))
  for (const isBroken of [false, true]) {
    blocklist.isBroken = isBroken
    for (const url of routes) {
      for (const { name, code, token } of [
        ...wrong,
        { name: 'another secret', code: 'invalid_token', token: signedByOther },
        { name: 'no token', code: 'authorization_required', token: undefined }
      ]) {
        const { statusCode, headers, body } = await get(app, url, token)
        const said = [statusCode, JSON.parse(body).code, headers['x-revocation-check']]
        t.same(said, [401, code, undefined], `${url}: ${name}${isBroken ? ', unreachable' : ''}`)
      }
    }
  }
})

t.test('a route may accept an unchecked token while Redis is stalled, and other routes refuse it', async t => {
  const server = await ownRedis(t)
  const redis = createRedisConnection(server.url)
  await redis.connect()
  const blocklist = createRedisBlocklist({ redis, prefix: 'p:', leewaySeconds: 0, deadlineMs: 100 })
  t.teardown(() => blocklist.close())
  const app = await bareApp(t, blocklist)
  const token = sign({ ...goodClaims(issuer), iat: nowSeconds() + 4 })
  await until('it is checked', async () => (await get(app, '/silent', token)).statusCode === 200, 30_000)
  server.pause()
  for (let round = 0; round < 5; round++) {
    const [allowed, refused] = await Promise.all([get(app, '/allow', token), get(app, '/silent', token)])
    t.equal(allowed.statusCode, 200)
    t.equal(allowed.headers['x-revocation-check'], 'unavailable')
    t.equal(refused.statusCode, 503)
  }
  server.resume()
  await until('both are checked again', async () => {
    const [allowed, refused] = await Promise.all([get(app, '/allow', token), get(app, '/silent', token)])
    return allowed.headers['x-revocation-check'] === undefined && refused.statusCode === 200
  }, 30_000)
})

t.test('an invalid policy is refused when the route is registered', async t => {
  const app = await bareApp(t, breakable())
  for (const wrong of ['alow', 'ALLOW', true, null, ['allow'], {}]) {
    t.throws(() => {
      // @ts-expect-error: the type says so before
      app.get('/wrong', { config: { onRevocationUnavailable: wrong } }, async () => 'in')
    },
    {
      message: /^The route GET \/wrong has the config onRevocationUnavailable: .*\. It must be 'allow' or 'refuse'\.$/
    },
    JSON.stringify(wrong)
    )
  }
})

t.test('the OpenAPI document names the policy of each route that sets one', async t => {
  const app = buildUnready(t, loadConfig(await serversEnv(t)))
  app.after(() => {
    app.get(
      '/lenient',
      { schema: { operationId: 'lenient' }, config: { onRevocationUnavailable: 'allow' } },
      async () => 'in'
    )
    app.get('/bare', { config: { onRevocationUnavailable: 'refuse' } }, async () => 'in')
  })
  await app.ready()
  const { paths } = app.swagger() as { paths: Record<string, { get?: Record<string, unknown> }> }
  t.match(paths['/lenient']?.get, { operationId: 'lenient', 'x-on-revocation-unavailable': 'allow' })
  t.match(paths['/bare']?.get, { 'x-on-revocation-unavailable': 'refuse' })
  t.notOk(
    JSON.stringify((await build(t, await serversEnv(t))).swagger()).includes('x-on-revocation-unavailable'),
    'none of the service itself has'
  )
})
