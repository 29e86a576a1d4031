import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import auth, { createMemoryBlocklist, type AuthOptions, type Blocklist } from '../../../plugins/auth/auth.ts'
import { get } from '../../support/requests.ts'
import { forge, goodClaims, hs256, nowSeconds } from '../../support/tokens.ts'
import { until } from '../../support/wait.ts'

/** Ways around the check that were found, and closed. */
const secret = 'the secret of somebody else\'s app'
const issuer = 'another-issuer'
const sign = (payload: object) => forge({ alg: 'HS256', typ: 'JWT' }, payload, hs256(secret))

async function bareApp (
  t: Test,
  options: Partial<AuthOptions> = {}
): Promise<{ app: FastifyInstance; blocklist: Blocklist }> {
  const app = Fastify()
  t.teardown(() => app.close())
  const blocklist = createMemoryBlocklist({ leewaySeconds: 5 })
  await app.register(auth, { blocklist, jwt: { secret, verify: { algorithms: ['HS256'], cache: true } }, ...options })
  app.get('/me', { onRequest: app.authenticate }, async request => request.user)
  return { app, blocklist }
}

t.test('a token is not accepted beyond exp and the leeway, with any options of a verifier', async t => {
  const { app } = await bareApp(t)
  const options = [{ ignoreExpiration: true }, { clockTolerance: 3_600_000 }]
  app.get<{ Querystring: { option: number } }>('/own', async request => {
    await request.jwtVerify(options[Number(request.query.option)] as never)
    return 'in'
  })
  const expired = sign({ ...goodClaims(issuer), exp: nowSeconds() - 30 })
  const good = sign(goodClaims(issuer))
  for (const option of [0, 1]) {
    t.equal((await get(app, `/own?option=${option}`, good)).statusCode, 200)
    t.equal((await get(app, `/own?option=${option}`, expired)).json().code, 'token_expired')
  }
})

t.test('a token is not accepted if no blocklist entry can outlast its exp', async t => {
  const { app } = await bareApp(t)
  t.equal((await get(app, '/me', sign({ ...goodClaims(issuer), exp: 1e16 }))).json().code, 'invalid_token')
})

t.test('the claims from app.jwt.verify cannot be changed for the next request', async t => {
  const { app } = await bareApp(t)
  const token = sign(goodClaims(issuer))
  const claims = app.jwt.verify<{ jti: string }>(token)
  t.throws(() => { claims.jti = 'another' }, TypeError)
  let answered: unknown
  app.jwt.verify(token, (_error: unknown, claims: unknown) => { answered = claims })
  t.ok(Object.isFrozen(answered), 'by a callback too')
  t.equal((await get(app, '/me', token)).json().jti, claims.jti)
})

t.test('jwt.decode.checkTyp refuses tokens of another type, with a secret and with a key function', async t => {
  for (const key of [secret, async () => secret]) {
    const options = { secret: key, decode: { checkTyp: 'at+jwt' }, verify: { algorithms: ['HS256'] } }
    const jwt = options as unknown as AuthOptions['jwt']
    const { app } = await bareApp(t, { jwt })
    const right = forge({ alg: 'HS256', typ: 'at+jwt' }, goodClaims(issuer), hs256(secret))
    const wrong = sign(goodClaims(issuer))
    t.same([(await get(app, '/me', right)).statusCode, (await get(app, '/me', wrong)).statusCode], [200, 401])
    t.equal((await app.verifyToken(right))['iss'], issuer)
    await t.rejects(app.verifyToken(wrong), { code: 'invalid_token' })
  }
})

t.test('a key function without a key, or with an unexpected result, leads to an answer', async t => {
  type Done = (error: Error | null, key?: string) => void
  const noKey: Record<string, unknown> = {
    'promise of nothing': async () => undefined,
    'promise of an empty key': async () => '',
    'callback of nothing': (_request: unknown, _token: unknown, done: Done) => { done(null) },
    'an empty text': () => ''
  }
  for (const [name, key] of Object.entries(noKey)) {
    const { app } = await bareApp(t, { jwt: { secret: key as never, verify: { algorithms: ['HS256'] } } })
    const answer = await get(app, '/me', sign(goodClaims(issuer)))
    t.equal(answer.statusCode, 401, name)
    t.equal(answer.json().code, 'invalid_token', name)
    await t.rejects(app.verifyToken(sign(goodClaims(issuer))), { code: 'invalid_token' }, name)
  }
  for (const key of [() => secret, { public: async () => secret, private: secret }]) {
    const { app } = await bareApp(t, { jwt: { secret: key as never, verify: { algorithms: ['HS256'] } } })
    t.equal((await get(app, '/me', sign(goodClaims(issuer)))).statusCode, 200)
    t.match(await app.verifyToken(sign(goodClaims(issuer))), { iss: issuer })
  }
})

t.test('a request without a token gets a challenge without an error, for every source of tokens', async t => {
  for (const jwt of [
    { secret, verify: { extractToken: () => undefined } },
    { secret, cookie: { cookieName: 'token', signed: false } }
  ]) {
    const { app } = await bareApp(t, { jwt })
    const answer = await get(app, '/me')
    t.equal(answer.statusCode, 401)
    t.equal(answer.json().code, 'authorization_required')
    t.equal(answer.headers['www-authenticate'], 'Bearer realm="signout"')
  }
})

t.test('a token that is refused for a temporary error is accepted once the error has passed', async t => {
  const { app } = await bareApp(t)
  const early = sign({ ...goodClaims(issuer), nbf: nowSeconds() + 10 })
  t.equal((await get(app, '/me', early)).statusCode, 401)
  await until('its time has come', async () => (await get(app, '/me', early)).statusCode === 200, 30_000)
})

t.test('a blocklist in plain JavaScript may return values without promises', async t => {
  const blocklist = { ...createMemoryBlocklist({ leewaySeconds: 5 }), revoke: () => undefined } as unknown as Blocklist
  const { app } = await bareApp(t, { blocklist })
  await app.revoker.revoke([{ scope: 'token', id: 'a', expiresAt: nowSeconds() }])
  t.equal((await get(app, '/me', sign(goodClaims(issuer)))).statusCode, 200)
})

t.test('a revocation without an end is refused, and not ignored', async t => {
  const { app } = await bareApp(t)
  for (const expiresAt of [undefined, NaN, Infinity, null, 'soon', new Date()]) {
    await t.rejects(
      app.revoker.revoke([{ scope: 'token', id: 'a', expiresAt: expiresAt as number }]),
      { name: 'TypeError', message: /expiresAt is / },
      String(expiresAt)
    )
  }
})
