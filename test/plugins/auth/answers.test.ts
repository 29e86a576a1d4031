import { mock } from 'node:test'
import fastifyAuth, { type FastifyAuthFunction } from '@fastify/auth'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import auth, { createMemoryBlocklist, SignoutError, type Blocklist, type JwtOptions } from '../../../plugins/auth/auth.ts'
import { bearer, get } from '../../support/people.ts'
import { forge, goodClaims, hs256, nowSeconds } from '../../support/tokens.ts'

const secret = 'the secret of somebody else\'s app'
const issuer = 'somebody-else'
const sign = (payload: object) => forge({ alg: 'HS256', typ: 'JWT' }, payload, hs256(secret))
const challenge = 'Bearer realm="signout", error="invalid_token", error_description="The token is invalid."'

type Done = (error: unknown, key?: string) => void
const nextTurn = () => new Promise(resolve => { setImmediate(resolve) })
/** The ways in which a key function can fail, for a failure that it finds out about. */
const forms: Record<string, (find: () => string | undefined) => unknown> = {
  promise: find => async () => find(),
  callback: find => (_request: unknown, _token: unknown, done: Done) => { tell(find, done) },
  'promise of a library': find => () => ({ then: (...settle: Parameters<Promise<string>['then']>) => Promise.resolve().then(() => find() as string).then(...settle) }),
  'late callback': find => (_request: unknown, _token: unknown, done: Done) => { setImmediate(() => { tell(find, done) }) },
  'at once': find => () => find(),
  'public key of a pair': find => ({ private: secret, public: async () => find() })
}

function tell (find: () => string | undefined, done: Done): void {
  try {
    done(null, find())
  } catch (error) {
    done(error)
  }
}

interface Options { key?: unknown, jwt?: Partial<JwtOptions>, blocklist?: Blocklist }

async function bareApp (t: Test, { key = secret, jwt, blocklist = createMemoryBlocklist({ leewaySeconds: 5 }) }: Options = {}): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyAuth)
  await app.register(auth, { blocklist, jwt: { secret: key, verify: { algorithms: ['HS256'] }, ...jwt } as JwtOptions })
  app.get('/me', { onRequest: app.authenticate }, async request => request.user)
  app.get('/own', { onRequest: async request => { await request.jwtVerify() } }, async request => request.user)
  return app
}

t.test('an error that the verifier does not name is 401 invalid_token, by request.jwtVerify() alone too', async t => {
  const app = await bareApp(t)
  const jwt = { verify: { algorithms: ['HS256'], allowedIss: { test: () => { throw new RangeError('not one of its own') } } } } as unknown as JwtOptions
  const broken = await bareApp(t, { jwt })
  const asked = [
    ...[{ exp: -1e300 }, { nbf: 1e300 }].map(change => ({ app, token: sign({ ...goodClaims(issuer), ...change }) })),
    { app: broken, token: sign(goodClaims(issuer)) }
  ]
  for (const { app, token } of asked) {
    for (const url of ['/me', '/own']) {
      const answer = await get(app, url, token)
      t.match([answer.statusCode, answer.json().code], [401, 'invalid_token'], url)
      t.equal(answer.headers['www-authenticate'], challenge, url)
    }
    await t.rejects(app.verifyToken(token), { code: 'invalid_token' })
  }
})

t.test('a key function that fails is 503 key_unavailable with Retry-After, and nothing is remembered of it', async t => {
  for (const [name, form] of Object.entries(forms)) {
    let isBroken = true
    const app = await bareApp(t, { key: form(() => { if (isBroken) throw new Error('ECONNREFUSED'); return secret }) })
    const token = sign(goodClaims(issuer))
    for (let round = 0; round < 2; round++) {
      isBroken = true
      for (const url of ['/me', '/own']) {
        const answer = await get(app, url, token)
        t.match([answer.statusCode, answer.json().code, answer.headers['retry-after']], [503, 'key_unavailable', '1'], `${name}: ${url}`)
        t.notOk(answer.headers['www-authenticate'], name)
        t.notMatch(answer.body, 'ECONNREFUSED', 'the cause is not answered')
      }
      await t.rejects(app.verifyToken(token), { code: 'key_unavailable', cause: { message: 'ECONNREFUSED' } }, name)
      isBroken = false
      for (const url of ['/me', '/own']) t.equal((await get(app, url, token)).statusCode, 200, `${name}: the next request to ${url}`)
      t.match(await app.verifyToken(token), { iss: issuer })
    }
  }
})

t.test('a key function that never answers is 503 key_unavailable after 5 seconds, for every way to verify', async t => {
  const forms: Record<string, (isStuck: () => boolean) => unknown> = {
    promise: isStuck => async () => isStuck() ? await new Promise<never>(() => {}) : secret,
    callback: isStuck => (_request: unknown, _token: unknown, done: Done) => { if (!isStuck()) done(null, secret) }
  }
  t.teardown(() => { mock.timers.reset() })
  for (const [name, form] of Object.entries(forms)) {
    let isStuck = false
    const app = await bareApp(t, { key: form(() => isStuck) })
    const tokens = [sign(goodClaims(issuer)), sign(goodClaims(issuer))] as [string, string]
    t.equal((await get(app, '/me', tokens[0])).statusCode, 200, `${name}: the first is remembered`)
    isStuck = true
    // What has begun in this turn of the event loop has a real timer.
    await nextTurn()
    mock.timers.enable({ apis: ['setTimeout'] })
    const answers = tokens.flatMap(token => [get(app, '/me', token), get(app, '/own', token)])
    const checks = tokens.map(token => app.verifyToken(token).then(() => 'accepted', ({ code }) => code))
    let isAnswered = false
    Promise.race([...answers, ...checks]).then(() => { isAnswered = true }, () => {})
    for (let turn = 0; turn < 20; turn++) await nextTurn()
    mock.timers.tick(4_999)
    await nextTurn()
    t.notOk(isAnswered, name)
    mock.timers.tick(1)
    for (const { statusCode, body, headers } of await Promise.all(answers)) {
      t.match([statusCode, JSON.parse(body).code, headers['retry-after']], [503, 'key_unavailable', '1'], name)
    }
    t.same(await Promise.all(checks), ['key_unavailable', 'key_unavailable'], name)
    mock.timers.reset()
    isStuck = false
    for (const token of tokens) t.equal((await get(app, '/me', token)).statusCode, 200, `${name}: the next request`)
  }
})

t.test('a key function is called once for a remembered token whose key is unavailable', async t => {
  let calls = 0
  let isBroken = false
  const app = await bareApp(t, { key: async () => { calls++; if (isBroken) throw new Error('ECONNREFUSED'); return secret } })
  const token = sign(goodClaims(issuer))
  await get(app, '/me', token)
  isBroken = true
  calls = 0
  t.equal((await get(app, '/me', token)).statusCode, 503)
  t.equal(calls, 1)
})

t.test('a key function that says that there is no such key is 401 invalid_token, so that no invented kid is a 503', async t => {
  const failWith = (error: unknown) => () => { throw error }
  const answers: Record<string, () => string | undefined> = {
    undefined: () => undefined,
    'an error with statusCode 401': failWith(Object.assign(new Error('no such key'), { statusCode: 401 })),
    'an error with status 401': failWith(Object.assign(new Error('no such key'), { status: 401 })),
    'a code of @fastify/jwt': failWith(Object.assign(new Error('no such key'), { code: 'FST_JWT_AUTHORIZATION_TOKEN_INVALID' })),
    'a code of fast-jwt': failWith(Object.assign(new Error('no such key'), { code: 'FAST_JWT_KEY_FETCHING_ERROR' })),
    'an error of signout': failWith(new SignoutError('invalid_token'))
  }
  for (const [name, form] of Object.entries(forms)) {
    for (const [how, find] of Object.entries(answers)) {
      const app = await bareApp(t, { key: form(find) })
      for (const url of ['/me', '/own']) {
        const answer = await get(app, url, sign(goodClaims(issuer)))
        t.match([answer.statusCode, answer.json().code], [401, 'invalid_token'], `${name}: ${how}`)
      }
    }
  }
})

/** A strategy of the app's own, beside tokens. */
const byApiKey: FastifyAuthFunction = (request, _reply, done) => { done(request.headers['x-api-key'] === 'good' ? undefined : new Error('no key')) }
/** What says that a request was refused. */
const refusalsIn = (headers: object) => Object.keys(headers).filter(name => ['www-authenticate', 'retry-after'].includes(name))

/** An app in which authentication may fail without harm. The last strategy that fails is the answer. */
async function lenientApp (t: Test): Promise<{ app: FastifyInstance, tokens: Record<'good' | 'bad' | 'unavailable', string> }> {
  const memory = createMemoryBlocklist({ leewaySeconds: 5 })
  const isRevoked: Blocklist['isRevoked'] = claims => claims.jti === 'unavailable' ? Promise.reject(new Error('ECONNREFUSED')) : memory.isRevoked(claims)
  const app = await bareApp(t, { blocklist: { ...memory, isRevoked } })
  app.get('/optional', { onRequest: async (request, reply) => { await app.authenticate(request, reply).catch(() => {}) } }, async request => request.user ?? 'nobody')
  app.get('/token-first', { onRequest: app.auth([app.authenticate as FastifyAuthFunction, byApiKey]) }, async () => 'in')
  app.get('/token-last', { onRequest: app.auth([byApiKey, app.authenticate as FastifyAuthFunction]) }, async () => 'in')
  const unavailable = sign({ ...goodClaims(issuer), jti: 'unavailable' })
  return { app, tokens: { good: sign(goodClaims(issuer)), bad: 'x', unavailable } }
}

t.test('an answer of 200 says nothing of an authentication that failed before', async t => {
  const { app, tokens } = await lenientApp(t)
  for (const token of [undefined, ...Object.values(tokens)]) {
    for (const url of ['/optional', '/token-first', '/token-last']) {
      const answer = await app.inject({ url, headers: { 'x-api-key': 'good', ...token !== undefined && bearer(token) } })
      t.equal(answer.statusCode, 200, `${url}: ${token}`)
      t.same(refusalsIn(answer.headers), [], `${url}: ${token}`)
    }
  }
})

t.test('with @fastify/auth an answer has the headers of the error that is answered', async t => {
  const { app, tokens } = await lenientApp(t)
  const ask = async (url: string, token?: string) => {
    const { statusCode, headers } = await get(app, url, token)
    return [statusCode, headers['www-authenticate'], headers['retry-after']]
  }
  for (const url of ['/token-first', '/token-last']) t.match(await ask(url, tokens.good), [200, undefined, undefined])
  t.match(await ask('/token-last', tokens.bad), [401, challenge, undefined])
  t.match(await ask('/token-last', tokens.unavailable), [503, undefined, '1'])
  for (const token of [tokens.bad, tokens.unavailable]) t.match(await ask('/token-first', token), [401, undefined, undefined], 'the error is that of the API key')
})

t.test('a challenge of another scheme stays beside that of the token', async t => {
  const { app } = await lenientApp(t)
  const byPassword: FastifyAuthFunction = (_request, reply, done) => { reply.header('www-authenticate', 'Basic realm="a"'); done(new Error('no password')) }
  app.get('/either', { onRequest: app.auth([byPassword, app.authenticate as FastifyAuthFunction]) }, async () => 'in')
  t.same((await get(app, '/either', 'x')).headers['www-authenticate'], ['Basic realm="a"', challenge])
})

t.test('the headers of an error are there for an error handler of the app, whoever has thrown it', async t => {
  const app = await bareApp(t, { blocklist: { ...createMemoryBlocklist({ leewaySeconds: 5 }), revoke: async () => { throw new Error('READONLY') } } })
  app.setErrorHandler(async (error, _request, reply) => { await reply.code((error as SignoutError).statusCode).send('refused') })
  app.post('/logout', async () => { await app.revoker.revoke([{ scope: 'token', id: 'a', expiresAt: nowSeconds() + 60 }]) })
  const answer = await app.inject({ method: 'POST', url: '/logout' })
  t.match([answer.statusCode, answer.body, answer.headers['retry-after']], [503, 'refused', '1'])
  t.equal((await get(app, '/me', 'x')).headers['www-authenticate'], challenge)
  t.equal((await get(app, '/own', 'x')).headers['www-authenticate'], challenge)
})
