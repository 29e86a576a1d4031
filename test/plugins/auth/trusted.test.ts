import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import fastifyJwt, { type FastifyJWTOptions } from '@fastify/jwt'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import {
  createRedisBlocklist, createRedisConnection, createTrusted, type Blocklist
} from '../../../plugins/auth/auth.ts'
import { createTestBlocklist } from '../../../plugins/auth/testing.ts'
import { packageRoot } from '../../../src/package-root.ts'
import { scratchFolder } from '../../support/app.ts'
import { get, send } from '../../support/requests.ts'
import { redisUrl, scratchPrefix } from '../../support/services.ts'
import { goodClaims, nowSeconds } from '../../support/tokens.ts'
import { issuer, secret, sign } from './bare-app.ts'

type Options = Parameters<typeof createTrusted>[1]

/** An app that registers @fastify/jwt itself. */
async function ownApp (t: Test, blocklist: Blocklist, jwt: Partial<FastifyJWTOptions> = {}, options: Options = {}) {
  const app = Fastify() as unknown as FastifyInstance
  t.teardown(() => app.close())
  const trusted = createTrusted(blocklist, options)
  await app.register(fastifyJwt, { secret, trusted, ...jwt } as unknown as FastifyJWTOptions)
  const verify = `${jwt.namespace ?? 'jwt'}${jwt.namespace === undefined ? 'V' : 'JwtV'}erify` as 'jwtVerify'
  const authenticate = async (request: { jwtVerify: () => Promise<unknown> }) => { await request[verify]() }
  app.get('/me', { onRequest: authenticate }, async request => request.user ?? 'in')
  app.post('/logout', { onRequest: authenticate }, async request => { await trusted.logout(request) })
  return { app, trusted }
}

t.test('trusted refuses a token in an app with a registration of its own, with a namespace and formatUser', async t => {
  const redis = createRedisConnection(redisUrl())
  await redis.connect()
  const blocklist = createRedisBlocklist({ redis, prefix: scratchPrefix(t), leewaySeconds: 0, deadlineMs: 5_000 })
  t.teardown(() => blocklist.close())
  await blocklist.ready()
  const variants: Array<Partial<FastifyJWTOptions>> =
    [{}, { namespace: 'own' }, { formatUser: () => ({ name: 'ada' }) as never }, { verify: { cache: true } }]
  for (const [index, jwt] of variants.entries()) {
    const { app } = await ownApp(t, blocklist, jwt)
    const sid = `session ${index}`
    const [token, second] = [sign({ ...goodClaims(issuer), sid }), sign({ ...goodClaims(issuer), sid })]
    for (const one of [token, second]) {
      const answer = await get(app, '/me', one)
      t.equal(answer.statusCode, 200, answer.body)
    }
    t.equal((await send(app, 'POST /logout', { token })).statusCode, 200)
    for (const one of [token, second]) {
      const answer = await get(app, '/me', one)
      t.match([answer.statusCode, answer.json().code], [401, 'token_revoked'], JSON.stringify(jwt))
    }
  }
})

t.test('trusted answers 503 with Retry-After while the blocklist is down, and never throws (P3)', async t => {
  const blocklist = createTestBlocklist()
  const broken = { ...blocklist, isRevoked: () => { throw new Error('at once') } }
  const { app, trusted } = await ownApp(t, blocklist)
  const { app: other } = await ownApp(t, broken)
  const token = sign(goodClaims(issuer))
  blocklist.stall()
  for (const one of [app, other]) {
    const { statusCode, headers } = await get(one, '/me', token)
    t.match([statusCode, headers['retry-after']], [503, '1'])
  }
  for (const claims of [undefined, null, 'a', {}, { jti: 5 }]) {
    const answer = trusted(undefined, claims)
    t.ok(answer instanceof Promise)
    await t.rejects(answer, { code: 'invalid_token' })
  }
  await t.rejects(trusted.revoke({ jti: 'a', exp: nowSeconds() + 60 }), { code: 'revocation_unavailable' })
  blocklist.recover()
  await t.resolves(trusted(undefined, { jti: 'a', iat: nowSeconds(), exp: nowSeconds() + 60 }))
  await t.rejects(trusted.logout({} as never), { code: 'authorization_required' })
})

t.test('a token is refused by the ids that it had when it was verified, if the app changes request.user', async t => {
  const blocklist = createTestBlocklist()
  const [{ app }, { app: other }] = await Promise.all(
    [ownApp(t, blocklist, { verify: { cache: true } }), ownApp(t, blocklist)]
  )
  app.get('/change', { onRequest: async request => { await request.jwtVerify() } }, async request => {
    Object.assign(request.user as object, { jti: 'another', exp: 9_999_999_999, account: 'ada' })
  })
  const token = sign({ ...goodClaims(issuer), sid: undefined })
  t.equal((await get(other, '/me', token)).statusCode, 200)
  t.equal((await get(app, '/change', token)).statusCode, 200)
  t.equal((await send(app, 'POST /logout', { token })).statusCode, 200)
  for (const one of [app, other]) t.equal((await get(one, '/me', token)).statusCode, 401)
})

t.test('trusted.check follows an authenticate of another plugin, and lets preflights without a user pass', async t => {
  const blocklist = createTestBlocklist({ maxTokenLifetimeSeconds: 60 })
  const trusted = createTrusted(blocklist, { userProperty: 'account' })
  const app = Fastify() as unknown as FastifyInstance & { check: (request: object) => Promise<void> }
  t.teardown(() => app.close())
  const claims = { jti: 'a', sub: 'ada', iat: nowSeconds() - 1, exp: nowSeconds() + 50 }
  app.decorateRequest('account', null)
  const authenticate = async (request: FastifyRequest) => {
    if (request.headers['x-user'] !== 'none') Object.assign(request, { account: { ...claims } })
  }
  app.addHook('onRequest', authenticate)
  app.addHook('onRequest', trusted.check)
  app.get('/', async () => 'in')
  app.options('/', async () => 'in')
  t.equal((await get(app, '/')).statusCode, 200)
  await trusted.revokeSubject('ada')
  t.equal((await get(app, '/')).statusCode, 401)
  const preflight = { origin: 'https://a.example', 'access-control-request-method': 'GET' }
  t.equal((await send(app, 'OPTIONS /', { headers: { ...preflight, 'x-user': 'none' } })).statusCode, 200)
  t.equal((await send(app, 'OPTIONS /', { headers: preflight })).statusCode, 401, 'with a revoked token')
  t.equal((await send(app, 'OPTIONS /')).statusCode, 401)
})

t.test('createTrusted checks its input', async t => {
  const blocklist = createTestBlocklist()
  const cases: Array<[args: unknown[], message: RegExp]> = [
    [[], /^blocklist is undefined; it must be a blocklist/],
    [[{ ...blocklist, leewaySeconds: undefined }], /blocklist\.leewaySeconds is undefined/],
    [[blocklist, null], /options of createTrusted are null/],
    [[blocklist, { userProperty: 5 }], /userProperty is 5/],
    [[blocklist, { foreignIssuers: 'a' }], /option foreignIssuers is "a"/]
  ]
  for (const [args, message] of cases) {
    t.throws(() => createTrusted(...args as [Blocklist]), { name: 'TypeError', message })
  }
})

t.test('createTrusted refuses a version of @fastify/jwt with which requests hang while Redis is down', async t => {
  const module = pathToFileURL(join(packageRoot, 'dist', 'plugins', 'auth', 'auth.js')).href
  const program = `
    import { createMemoryBlocklist, createTrusted } from ${JSON.stringify(module)}
    const text = () => { createTrusted(createMemoryBlocklist()); return 'accepted' }
    try { console.log(text()) } catch (error) { console.log(error.message) }`
  const versions = {
    '9.1.0': /needs @fastify\/jwt 10\.2\.1 or newer, and the app has 9\.1\.0.*Update it/,
    '10.2.0': /the app has 10\.2\.0/,
    '10.2.1': /^accepted$/,
    '11.0.0': /^accepted$/
  }
  for (const [version, expected] of Object.entries(versions)) {
    const cwd = scratchFolder(t)
    const folder = join(cwd, 'node_modules', '@fastify', 'jwt')
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: '@fastify/jwt', version }))
    const args = ['--input-type=module', '-e', program]
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' })
    t.match(stdout.trim(), expected, version + stderr)
  }
})
