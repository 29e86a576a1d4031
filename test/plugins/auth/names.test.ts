import fastifyJwt from '@fastify/jwt'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import auth, { createMemoryBlocklist, type AuthOptions } from '../../../plugins/auth/auth.ts'
import { keepLog } from '../../support/log.ts'
import { bearer, get, send } from '../../support/requests.ts'
import { goodClaims, nowSeconds } from '../../support/tokens.ts'
import { bareApp, issuer, secret, sign } from './bare-app.ts'

const theirs = 'the secret of the registration of the app'
const register = async (app: FastifyInstance, options: Partial<AuthOptions> = {}) => {
  await app.register(auth, { blocklist: createMemoryBlocklist(), jwt: { secret }, ...options })
}

function emptyApp (t: Test): FastifyInstance {
  const app = Fastify() as unknown as FastifyInstance
  t.teardown(() => app.close())
  return app
}

t.test('a decorator that exists already is one sentence that says how to choose another name', async t => {
  const app = emptyApp(t)
  app.decorate('authenticate', (async () => {}) as never)
  await t.rejects(register(app), {
    name: 'TypeError',
    message: /^The decorator app\.authenticate exists already: .* names: { authenticate: 'signoutAuthenticate' }\.$/
  })
  const passport = emptyApp(t)
  passport.decorateRequest('logout', (async () => {}) as never)
  await t.rejects(register(passport), { message: /request\.logout exists already.*logout: 'signoutLogout'/ })
  const twice = emptyApp(t)
  await register(twice)
  await t.rejects(register(twice), { message: /app\.authenticate exists already/ })
  for (const [names, message] of [
    ['a', /option names is "a"/],
    [{ logOut: 'b' }, /option names\.logOut is not known; the decorators are authenticate/],
    [{ revoke: '' }, /option names\.revoke is ""/], [{ revoke: 'issueToken' }, /app\.issueToken exists already/]
  ] as const) await t.rejects(register(emptyApp(t), { names: names as never }), { name: 'TypeError', message })
})

/** Every decorator under another name. */
const names = {
  authenticate: 'check',
  verifyToken: 'checkToken',
  verifySignature: 'checkSignature',
  requireRecentAuthentication: 'recent',
  requireScope: 'scoped',
  revoker: 'lists',
  revoke: 'end',
  revokeSession: 'endSession',
  revokeSubject: 'endSubject',
  revokeEveryone: 'endEveryone',
  issueToken: 'issue',
  jwt: 'tokens',
  user: 'claims',
  logout: 'leave',
  jwtVerify: 'verifyHere',
  jwtDecode: 'decodeHere',
  jwtSign: 'signHere'
}

t.test('every decorator can have another name, beside @fastify/jwt and another registration of the plugin', async t => {
  const app = emptyApp(t) as FastifyInstance & Record<string, any>
  await app.register(fastifyJwt, { secret: theirs })
  app.decorate('authenticate', (async (request: FastifyRequest) => { await request.jwtVerify() }) as never)
  await register(app, { names })
  app.get('/theirs', { onRequest: app.authenticate }, async request => request.user)
  const ours = (request: unknown) => request as { claims: object, leave: () => Promise<void> }
  app.get('/ours', { onRequest: app['check'] }, async request => ours(request).claims)
  app.get('/recent', { onRequest: app['recent']({ maxAgeSeconds: 60 }) }, async () => 'in')
  app.post('/leave', { onRequest: app['check'] }, async request => { await ours(request).leave() })
  const token = await app['issue']({ sub: 'ada', auth_time: nowSeconds() }, { expiresIn: 60 })
  const other = app.jwt.sign({ sub: 'grace' })
  t.match((await get(app, '/ours', token)).json(), { sub: 'ada' })
  t.match((await get(app, '/theirs', other)).json(), { sub: 'grace' })
  t.same([(await get(app, '/theirs', token)).statusCode, (await get(app, '/ours', other)).statusCode], [401, 401])
  t.equal((await get(app, '/recent', token)).statusCode, 200)
  t.equal((await send(app, 'POST /leave', { token })).statusCode, 200)
  t.equal((await get(app, '/ours', token)).json().code, 'token_revoked')
  t.match(app['tokens'].decode(token), { sub: 'ada' })
})

t.test('an option that would change nothing is refused, and options of Fastify are not', async t => {
  for (const [options, message] of [
    [{ prefix: 'my-app:' }, /option prefix is given to the blocklist: createRedisBlocklist/],
    [{ leewaySeconds: 5 }, /option leewaySeconds is given to the blocklist/],
    [{ maxTokenLifetimeSeconds: 5 }, /option maxTokenLifetimeSeconds is given to the blocklist/],
    [{ blocklst: 5 }, /option blocklst is not known; the options are jwt, blocklist/],
    [{ jwt: { secret, trusted: () => true } }, /jwt\.trusted is set by signout .*createTrusted\(blocklist\)/],
    [{ jwt: { secret, namespace: 'a' } }, /option names/]
  ] as const) await t.rejects(register(emptyApp(t), options as never), { name: 'TypeError', message })
  await register(emptyApp(t), { logLevel: 'warn' } as never)
})

const cookie = { cookie: { cookieName: 'token', signed: false } }
const extractToken = (request: { headers: Record<string, string> }) => request.headers['x-token']
/** The places that a token may come from, and the headers of a request with it, perhaps beside a wrong bearer token. */
const places: Record<string, [jwt: object, verify: object, headers: (token: string) => Record<string, string>]> = {
  cookie: [cookie, {}, token => ({ 'x-token': token })],
  'only the cookie': [cookie, { onlyCookie: true }, token => ({ 'x-token': token, ...bearer('x') })],
  extractToken: [{}, { extractToken }, token => ({ 'x-token': token, ...bearer('x') })]
}

for (const [name, [jwt, verify, headers]] of Object.entries(places)) {
  t.test(`a token is remembered and revoked wherever it comes from: ${name}`, async t => {
    const { app, users } = await bareApp(t, { jwt: jwt as never, verify })
    app.addHook('onRequest', async request => {
      Object.assign(request, { cookies: { token: request.headers['x-token'] } })
    })
    const ask = async (token: string) => (await send(app, 'GET /me', { headers: headers(token) })).statusCode
    const [claims, other] = [goodClaims(issuer), goodClaims(issuer)]
    const token = sign(claims)
    t.same([await ask(token), await ask(sign(other)), await ask(token)], [200, 200, 200])
    t.equal(users[2], users[0], 'verified once')
    t.match(users[1], { jti: other['jti'] }, 'another token is not taken for it')
    if (name !== 'cookie') {
      const beside = { ...headers(token), ...bearer(sign(other)) }
      t.equal((await send(app, 'GET /me', { headers: beside })).json().jti, claims['jti'], 'beside a good token')
    }
    t.equal(await ask(sign(claims, 'another secret of thirty-two bytes')), 401)
    await app.revoke(claims as never)
    t.same([await ask(token), await ask(sign(other))], [401, 200])
  })
}

t.test('a token in the address of a request is a warning, once', async t => {
  const log = keepLog()
  const fromQuery = (request: { query: { token?: string } }) => request.query.token
  const { app } = await bareApp(t, { verify: { extractToken: fromQuery }, logger: log.logger })
  const warnings = () => log.lines().filter(({ level }) => level === 40)
  t.equal((await get(app, '/me')).statusCode, 401)
  t.equal(warnings().length, 0)
  for (const path of ['/me', '/own', '/me']) {
    t.equal((await get(app, `${path}?token=${sign(goodClaims(issuer))}`)).statusCode, 200)
  }
  t.equal(warnings().length, 1)
  t.match(warnings()[0], { msg: /A token came in the address of a request/ })
})
