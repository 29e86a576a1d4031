import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import auth, {
  createMemoryBlocklist,
  SignoutError,
  type AuthOptions,
  type Blocklist
} from '../../../plugins/auth/auth.ts'
import { get } from '../../support/requests.ts'
import { forge, goodClaims, hs256, nowSeconds, wrongTokens } from '../../support/tokens.ts'
import { bareApp, issuer, secret, sign } from './bare-app.ts'

const header = { alg: 'HS256', typ: 'JWT' }

/** An app that holds its tokens to one issuer and one audience. */
async function strictApp (t: Test, blocklist: Blocklist, options?: Partial<AuthOptions>): Promise<FastifyInstance> {
  const verify = { allowedIss: issuer, allowedAud: issuer, cache: true }
  return (await bareApp(t, { verify, blocklist, ...options && { options } })).app
}

const memory = () => createMemoryBlocklist({ leewaySeconds: 5, deadlineMs: 50 })
/** A blocklist with the given answer to look-ups. */
const answering = (isRevoked: () => unknown) => ({ ...memory(), isRevoked } as unknown as Blocklist)

t.test('a token is accepted until it is revoked, in another app that uses the plugin', async t => {
  const app = await strictApp(t, memory())
  const claims = { iss: issuer, aud: issuer, jti: 'one', exp: nowSeconds() + 60 }
  const token = sign(claims)
  t.same((await get(app, '/me', token)).json(), claims)

  await app.revoker.revoke([{ scope: 'token', id: 'one', expiresAt: claims.exp }])
  const refused = await get(app, '/me', token)
  t.equal(refused.statusCode, 401)
  t.match(refused.json(), { code: 'token_revoked', message: 'The token has been revoked.' })
  t.equal((await get(app, '/own', token)).statusCode, 401, 'by jwtVerify() alone too')
  t.equal((await get(app, '/me', sign({ ...claims, jti: 'two' }))).statusCode, 200)

  await app.revoker.revoke([{ scope: 'session', id: 'the session', expiresAt: claims.exp }])
  t.equal((await get(app, '/me', sign({ ...claims, jti: 'three', sid: 'the session' }))).statusCode, 401)
})

t.test('a token is accepted from nbf and iat minus the leeway until exp plus the leeway, and only then', async t => {
  // Longer than the default, so that no token has another age by the time that a busy machine looks at it.
  const app = await strictApp(t, createMemoryBlocklist({ leewaySeconds: 60, deadlineMs: 50 }))
  for (const [claim, offset, expected] of [
    ['exp', -50, 200], ['exp', -60, 'token_expired'],
    ['iat', 50, 200], ['iat', 70, 'invalid_token'],
    ['nbf', 50, 200], ['nbf', 70, 'invalid_token']
  ] as const) {
    const answer = await get(app, '/me', sign({ ...goodClaims(issuer), [claim]: nowSeconds() + offset }))
    t.equal(answer.statusCode === 200 ? 200 : answer.json().code, expected, `${claim} ${offset} s from now`)
  }
})

t.test('an unreachable blocklist is a 503 within the deadline, and the process continues (P3)', async t => {
  const unavailable: Record<string, () => unknown> = {
    rejects: () => Promise.reject(new Error('ECONNREFUSED')),
    throws: () => { throw new Error('closed') },
    'never answers': () => new Promise(() => {}),
    'answers nothing': () => Promise.resolve(undefined),
    'answers null at once': () => null,
    'answers a number': () => Promise.resolve(0),
    'rejects with nothing': () => Promise.reject(undefined) // eslint-disable-line prefer-promise-reject-errors
  }
  for (const [name, isRevoked] of Object.entries(unavailable)) {
    const app = await strictApp(t, answering(isRevoked))
    for (const url of ['/me', '/own']) {
      const startedAt = performance.now()
      const answer = await get(app, url, sign(goodClaims(issuer)))
      t.ok(performance.now() - startedAt < 5_000, `${name}: in time`)
      t.equal(answer.statusCode, 503, name)
      t.equal(answer.json().code, 'revocation_unavailable', name)
    }
    const answer = await get(app, '/me', sign(goodClaims(issuer)))
    t.equal(answer.headers['retry-after'], '1', name)
    t.notOk(answer.headers['www-authenticate'], name)
    t.equal((await get(app, '/me', 'not.a.token')).statusCode, 401, `${name}: what is wrong without asking stays a 401`)
  }
})

t.test('request.user is deeply frozen, so that no request can change it for the next', async t => {
  const app = await strictApp(t, memory())
  const token = sign({ ...goodClaims(issuer), roles: { admin: false, list: ['a'] } })
  app.get('/mark', { onRequest: app.authenticate }, async request => {
    const user = request.user as unknown as { scope: string, roles: { admin: boolean, list: string[] } }
    t.throws(() => { user.scope = 'admin' }, TypeError)
    t.throws(() => { user.roles.admin = true }, TypeError)
    t.throws(() => { user.roles.list.push('b') }, TypeError)
    seen.push(user)
    return user
  })
  const seen: unknown[] = []
  await get(app, '/mark', token)
  const second = await get(app, '/mark', token)
  t.match(second.json(), { scope: 'user', roles: { admin: false, list: ['a'] } })
  t.equal(seen[0], seen[1], 'the cache of verified tokens is on: both requests saw one object')
})

t.test('app.verifyToken makes the same check without a request', async t => {
  const blocklist = memory()
  const app = await strictApp(t, blocklist)
  const claims = goodClaims(issuer)
  const token = sign(claims)
  const verified = await app.verifyToken(token)
  t.same(verified, claims)
  t.ok(Object.isFrozen(verified))

  for (const [name, wrong] of Object.entries(wrongTokens(header, claims))) {
    await t.rejects(
      app.verifyToken(forge(wrong.header, wrong.payload, hs256(secret))),
      { code: wrong.code ?? 'invalid_token' },
      name
    )
  }
  await t.rejects(app.verifyToken(''), { code: 'authorization_required' })
  await t.rejects(app.verifyToken(undefined as unknown as string), { code: 'authorization_required' })

  await app.revoker.revoke([{ scope: 'token', id: String(claims['jti']), expiresAt: Number(claims['exp']) }])
  await t.rejects(app.verifyToken(token), { code: 'token_revoked' })
  t.match(app.jwt.verify(token), claims, 'app.jwt.verify does not check the blocklist')
  await blocklist.close()
  await t.rejects(app.verifyToken(sign(goodClaims(issuer))), { code: 'revocation_unavailable' })
})

t.test('app.verifyToken gets the key from a key function, in both of its forms', async t => {
  const forms = {
    promise: async () => secret,
    callback: (_request: unknown, _token: unknown, done: (error: Error | null, key?: string) => void) => {
      done(null, secret)
    }
  }
  for (const [name, key] of Object.entries(forms)) {
    const app = await strictApp(t, memory(), { jwt: { secret: key as never, verify: { algorithms: ['HS256'] } } })
    t.match(await app.verifyToken(sign(goodClaims(issuer))), { iss: issuer }, name)
    t.equal((await get(app, '/me', sign(goodClaims(issuer)))).statusCode, 200, name)
  }
  for (const key of [
    (_request: unknown, _token: unknown, done: (error: Error | null) => void) => {
      done(new SignoutError('invalid_token'))
    },
    async () => { throw new SignoutError('invalid_token') }
  ]) {
    const app = await strictApp(t, memory(), { jwt: { secret: key as never, verify: { algorithms: ['HS256'] } } })
    await t.rejects(app.verifyToken(sign(goodClaims(issuer))), { code: 'invalid_token' })
    t.equal((await get(app, '/me', sign(goodClaims(issuer)))).statusCode, 401)
  }
})

t.test('a logout that the blocklist does not acknowledge within the deadline is a 503 (P4)', async t => {
  for (const revoke of [() => new Promise<void>(() => {}), () => Promise.reject(new Error('READONLY'))]) {
    const app = await strictApp(t, { ...memory(), revoke })
    await t.rejects(app.revoker.revoke([{ scope: 'token', id: 'one', expiresAt: nowSeconds() + 60 }]), {
      code: 'revocation_unavailable',
      statusCode: 503
    })
  }
})

t.test('an app can validate claims with its own schema', async t => {
  const app = await strictApp(t, memory(), {
    claims: { type: 'object', required: ['tenant'], properties: { tenant: { type: 'string' } } } as never
  })
  t.equal((await get(app, '/me', sign(goodClaims(issuer)))).json().code, 'invalid_token')
  t.equal((await get(app, '/me', sign({ ...goodClaims(issuer), tenant: 'a' }))).statusCode, 200)
})

t.test('options that would bypass the check are refused at registration', async t => {
  for (const name of ['trusted', 'formatUser', 'namespace', 'decoratorName', 'jwtVerify']) {
    await t.rejects(
      async () => {
        await Fastify().register(auth, { blocklist: memory(), jwt: { secret, [name]: () => true } })
      },
      { message: `The option jwt.${name} is set by signout and cannot be given.` }
    )
  }
})

t.test('a realm is quoted as the header requires', async t => {
  const app = await strictApp(t, memory(), { realm: 'the "inner" \\ circle' })
  t.equal((await get(app, '/me')).headers['www-authenticate'], 'Bearer realm="the \\"inner\\" \\\\ circle"')
})

t.test('a token is not refused for its time alone while the clock may be wrong', async t => {
  let fault: Error | undefined = new Error('The clock is an hour ahead.')
  const app = await strictApp(t, memory(), { findClockFault: () => fault })
  const good = goodClaims(issuer)
  const cases: Record<string, [claims: object, code: string]> = {
    'exp in the past': [{ ...good, exp: nowSeconds() - 60 }, 'token_expired'],
    'nbf in the future': [{ ...good, nbf: nowSeconds() + 60 }, 'invalid_token'],
    'iat in the future': [{ ...good, iat: nowSeconds() + 60 }, 'invalid_token']
  }
  for (const [name, [claims, code]] of Object.entries(cases)) {
    const token = sign(claims)
    const { statusCode, headers } = await get(app, '/me', token)
    t.same([statusCode, headers['retry-after'], headers['www-authenticate']], [503, '1', undefined], name)
    await t.rejects(app.verifyToken(token), { code: 'revocation_unavailable', cause: fault }, name)
    t.equal(
      (await get(app, '/me', forge(header, claims, hs256('x'.repeat(32))))).statusCode,
      401,
      `${name}, with another signature`
    )
    fault = undefined
    t.match((await get(app, '/me', token)).json(), { code }, name)
    await t.rejects(app.verifyToken(token), { code }, name)
    fault = new Error('The clock is an hour ahead.')
  }
  t.equal((await get(app, '/me', sign(good))).statusCode, 200, 'what is good by any clock')
  t.equal((await get(app, '/me', sign({ ...good, jti: '' }))).statusCode, 401)
})
