import { AsyncLocalStorage } from 'node:async_hooks'
import type { FastifyReply, FastifyRequest, preHandlerHookHandler } from 'fastify'
import t, { type Test } from 'tap'
import {
  createMemoryBlocklist,
  createRedisBlocklist,
  createRedisConnection,
  type AuthOptions,
  type Blocklist
} from '../../../plugins/auth/auth.ts'
import { bearer, get, send } from '../../support/requests.ts'
import { redisUrl, scratchPrefix } from '../../support/services.ts'
import { goodClaims } from '../../support/tokens.ts'
import { bareApp, issuer, secret, sign } from './bare-app.ts'

const verify = { algorithms: ['HS256' as const], allowedIss: issuer }
const appWith = (t: Test, jwt: Partial<AuthOptions['jwt']> = {}, blocklist?: Blocklist) =>
  bareApp(t, { verify, jwt, ...blocklist && { blocklist } })

t.test('a token is verified once and then remembered, unless the cache is turned off', async t => {
  const caches = [[undefined, true], [true, true], [10, true], [false, false], [0, false]] as const
  for (const [cache, isRemembered] of caches) {
    const { app, users, statusOf } = await appWith(t, { verify: { ...verify, ...cache !== undefined && { cache } } })
    t.notOk(app.jwt.options.verify.cache, 'there are not two memories')
    const token = sign(goodClaims(issuer))
    t.same([await statusOf(token), await statusOf(token)], [200, 200])
    t.equal(users[0] === users[1], isRemembered, `cache: ${cache}`)
    t.same(users[0], users[1])
  }
})

t.test('forged tokens do not drop a good token from the memory', async t => {
  const { users, statusOf } = await appWith(t, { verify: { ...verify, cache: 2 } })
  const token = sign(goodClaims(issuer))
  await statusOf(token)
  for (let round = 0; round < 10; round++) t.equal(await statusOf(sign(goodClaims(issuer), 'x'.repeat(32))), 401)
  await statusOf(token)
  t.equal(users[0], users[1])
})

t.test('a remembered token is refused once its key is missing or changed, for every form of key', async t => {
  type Done = (error: Error | null, key?: unknown) => void
  const forms: Record<string, (key: () => unknown) => unknown> = {
    'at once': key => () => key() ?? '',
    promise: key => async () => key(),
    callback: key => (_request: unknown, _token: unknown, done: Done) => { done(null, key()) },
    'late callback': key => (_request: unknown, _token: unknown, done: Done) => {
      setImmediate(() => { done(null, key()) })
    },
    buffer: key => () => Buffer.from(String(key() ?? ''))
  }
  for (const [name, form] of Object.entries(forms)) {
    let key: string | undefined = secret
    const { app, users, statusOf } = await appWith(t, { secret: form(() => key) as never })
    const token = sign(goodClaims(issuer))
    t.same([await statusOf(token), await statusOf(token)], [200, 200], name)
    t.equal(users[0], users[1], `${name}: it is remembered`)
    for (const other of ['x'.repeat(32), undefined]) {
      key = other
      t.equal(await statusOf(token), 401, `${name}: ${other}`)
      await t.rejects(app.verifyToken(token), { code: 'invalid_token' })
    }
    key = secret
    t.equal(await statusOf(token), 200, `${name}: and accepted again with the key that it was signed with`)
  }
})

t.test('a key function that fails without a reason refuses every token, remembered or not', async t => {
  for (const failure of [undefined, null, 'no error', new Error('no key server')]) {
    let isBroken = true
    const findKey = async () => isBroken ? Promise.reject(failure) : secret
    const { app, statusOf } = await appWith(t, { secret: findKey as never })
    app.get(
      '/await',
      { onRequest: async (request, reply) => { await app.authenticate(request, reply) } },
      async () => 'in'
    )
    const token = sign(goodClaims(issuer))
    const refused = async () => {
      for (const url of ['/me', '/await']) {
        t.match((await get(app, url, token)).statusCode, failure == null ? 401 : 503, `${failure}`)
      }
    }
    await refused()
    isBroken = false
    t.equal(await statusOf(token), 200)
    isBroken = true
    await refused()
  }
})

t.test('a token first seen while the blocklist is down is verified once, not once per 503', async t => {
  for (const [name, key] of Object.entries({ 'a secret': secret, 'a key function': async () => secret })) {
    const asked: unknown[] = []
    let isDown = true
    const isRevoked = async (claims: unknown) => {
      asked.push(claims)
      if (isDown) throw new Error('ECONNREFUSED')
      return false
    }
    const blocklist = { ...createMemoryBlocklist(), isRevoked } as Blocklist
    const { app, statusOf } = await appWith(t, { secret: key as never }, blocklist)
    const token = sign(goodClaims(issuer))
    for (let use = 0; use < 3; use++) t.equal(await statusOf(token), 503, name)
    await t.rejects(app.verifyToken(token), { code: 'revocation_unavailable' }, name)
    isDown = false
    t.equal(await statusOf(token), 200, name)
    t.equal(asked.length, 5, `${name}: the blocklist is asked each time`)
    t.equal(new Set(asked).size, 1, `${name}: one object of claims means one verification`)
  }
})

t.test('a token first seen after its revocation is verified once, and refused each time', async t => {
  const asked: unknown[] = []
  const isRevoked = (claims: unknown) => asked.push(claims) > 0
  const { app, statusOf } = await appWith(t, {}, { ...createMemoryBlocklist(), isRevoked } as Blocklist)
  const token = sign(goodClaims(issuer))
  for (let use = 0; use < 3; use++) t.equal(await statusOf(token), 401)
  await t.rejects(app.verifyToken(token), { code: 'token_revoked' })
  t.equal(asked.length, 4)
  t.equal(new Set(asked).size, 1)
})

t.test('a request that verifies two tokens at the same time remembers each with its own key', async t => {
  const keys: Record<string, string> = { one: secret, other: 'x'.repeat(32) }
  const jtiOf = (token: unknown) => (token as { jti: string }).jti
  const findKey = async (_request: unknown, token: unknown) => keys[jtiOf(token)]
  const { app, statusOf } = await appWith(t, { secret: findKey as never })
  const tokens = ['one', 'other'].map(jti => sign({ ...goodClaims(issuer), jti }, keys[jti]))
  app.get('/both', async (request, reply) => await Promise.all(tokens.map(async token => {
    request.headers.authorization = `Bearer ${token}`
    await app.authenticate(request, reply)
  })))
  t.equal((await get(app, '/both')).statusCode, 200)
  for (const token of tokens) t.equal(await statusOf(token), 200)
  keys['one'] = keys['other'] as string
  t.same(await Promise.all(tokens.map(token => statusOf(token))), [401, 200])
})

t.test('a verification that throws undefined is a failure', async t => {
  const allowedIss = { test: () => { throw undefined } } // eslint-disable-line no-throw-literal
  const { app } = await appWith(t, { verify: { ...verify, allowedIss } as never })
  const token = sign(goodClaims(issuer))
  const request = { headers: bearer(token), raw: { rawHeaders: [] } } as unknown as FastifyRequest
  const error = await new Promise(resolve => { app.authenticate(request, {} as FastifyReply, resolve) })
  t.match(error, { code: 'invalid_token' })
  await t.rejects(app.authenticate(request, {} as FastifyReply), { code: 'invalid_token' })
})

t.test('a remembered token of one tenant is refused for another tenant', async t => {
  const keys: Record<string, string> = { 'a.example': secret, 'b.example': 'x'.repeat(32) }
  const { statusOf } = await appWith(t, {
    secret: ((request: FastifyRequest | undefined) => keys[request?.hostname ?? 'a.example']) as never
  })
  const token = sign(goodClaims(issuer))
  t.equal(await statusOf(token, { host: 'a.example' }), 200)
  t.equal(await statusOf(token, { host: 'b.example' }), 401)
  t.equal(await statusOf(token, { host: 'a.example' }), 200)
})

t.test('a result with the options of one call does not count for calls without them, and vice versa', async t => {
  const { app, statusOf } = await appWith(t)
  const onRequest = (request: FastifyRequest) => request.jwtVerify({ allowedIss: 'another' } as never)
  app.get('/other', { onRequest }, async () => 'in')
  const [ours, theirs] = [sign(goodClaims(issuer)), sign(goodClaims('another'))]
  for (let round = 0; round < 2; round++) {
    t.same([await statusOf(ours), await statusOf(theirs)], [200, 401])
    t.same([(await get(app, '/other', ours)).statusCode, (await get(app, '/other', theirs)).statusCode], [401, 200])
  }
})

t.test('only tokens from the Authorization header are remembered', async t => {
  const token = sign(goodClaims(issuer))
  const sources: Record<string, Partial<AuthOptions['jwt']>> = {
    'a cookie': { cookie: { cookieName: 'token', signed: false } },
    'a place of its own': { verify: { ...verify, extractToken: request => String(request.headers['x-token'] ?? '') } }
  }
  for (const [name, jwt] of Object.entries(sources)) {
    const { app } = await appWith(t, jwt)
    app.addHook('onRequest', async request => {
      Object.assign(request, { cookies: { token: request.headers['x-token'] } })
    })
    const statuses = async (authorization: string) => [
      (await send(app, 'GET /me', { headers: { authorization, 'x-token': token } })).statusCode,
      (await send(app, 'GET /me', { headers: { authorization } })).statusCode
    ]
    for (const authorization of ['Basic YTpi', 'x']) {
      t.same(await statuses(authorization), [200, 401], `${name}: ${authorization}`)
    }
    if (name === 'a place of its own') t.same(await statuses(`Bearer ${sign(goodClaims('another'))}`), [200, 401], name)
  }
})

t.test('app.authenticate works as a hook with and without a callback', async t => {
  const { app } = await appWith(t)
  app.get(
    '/await',
    { onRequest: async (request, reply) => { await app.authenticate(request, reply) } },
    async request => request.user
  )
  const preHandler: preHandlerHookHandler = (request, reply, done) => { app.authenticate(request, reply, done) }
  app.get('/handler', { preHandler }, async request => request.user)
  const claims = goodClaims(issuer)
  const [good, bad] = [sign(claims), sign(claims, 'x'.repeat(32))]
  for (const url of ['/await', '/handler']) {
    for (let round = 0; round < 2; round++) t.same((await get(app, url, good)).json(), claims, url)
    const refused = await get(app, url, bad)
    t.equal(refused.statusCode, 401)
    t.ok(refused.headers['www-authenticate'])
  }
  await app.revoker.revoke([{ scope: 'token', id: String(claims['jti']), expiresAt: Number(claims['exp']) }])
  for (const url of ['/await', '/handler']) t.equal((await get(app, url, good)).json().code, 'token_revoked', url)
})

t.test('each request keeps its own asynchronous context, although one command checks all of them', async t => {
  const redis = createRedisConnection(redisUrl())
  await redis.connect()
  const blocklist = createRedisBlocklist({ redis, prefix: scratchPrefix(t), leewaySeconds: 0, deadlineMs: 5_000 })
  t.teardown(() => blocklist.close())
  await blocklist.ready()
  const { app } = await appWith(t, {}, blocklist)
  const storage = new AsyncLocalStorage<string>()
  app.addHook('onRequest', (request, _reply, done) => { storage.run(String(request.headers['x-name']), done) })
  app.get('/name', { onRequest: app.authenticate }, async () => storage.getStore())
  const names = Array.from({ length: 50 }, (_, index) => `request ${index}`)
  const tokens = names.map(() => sign(goodClaims(issuer)))
  for (let round = 0; round < 2; round++) {
    const answers = await Promise.all(names.map(async (name, index) =>
      (await send(app, 'GET /name', { headers: { ...bearer(tokens[index] ?? ''), 'x-name': name } })).body))
    t.same(answers, names, round === 0 ? 'at first' : 'when the tokens are remembered')
  }
})
