import fastifyAuth, { type FastifyAuthFunction } from '@fastify/auth'
import t, { type Test } from 'tap'
import { createMemoryBlocklist, type Blocklist, type SignoutError } from '../../../plugins/auth/auth.ts'
import { bearer, get, send } from '../../support/requests.ts'
import { goodClaims, nowSeconds } from '../../support/tokens.ts'
import { bareApp, issuer, sign } from './bare-app.ts'

const challenge = 'Bearer realm="signout", error="invalid_token", error_description="The token is invalid."'

t.test('an unnamed error of the verifier is 401 invalid_token, by request.jwtVerify() alone too', async t => {
  const { app } = await bareApp(t)
  const allowedIss = { test: () => { throw new RangeError('not one of its own') } }
  const { app: broken } = await bareApp(t, { verify: { allowedIss } })
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

/** A strategy of the app's own, beside tokens. */
const byApiKey: FastifyAuthFunction = (request, _reply, done) => {
  done(request.headers['x-api-key'] === 'good' ? undefined : new Error('no key'))
}
/** The names of the headers that belong to a refusal. */
const refusalsIn = (headers: object) =>
  Object.keys(headers).filter(name => ['www-authenticate', 'retry-after'].includes(name))

/** An app in which authentication may fail without harm. The last strategy that fails is the answer. */
async function lenientApp (t: Test) {
  const memory = createMemoryBlocklist()
  const isRevoked: Blocklist['isRevoked'] = claims =>
    claims.jti === 'unavailable' ? Promise.reject(new Error('ECONNREFUSED')) : memory.isRevoked(claims)
  const { app } = await bareApp(t, { blocklist: { ...memory, isRevoked } })
  await app.register(fastifyAuth)
  app.get(
    '/optional',
    { onRequest: async (request, reply) => { await app.authenticate(request, reply).catch(() => {}) } },
    async request => request.user ?? 'no user'
  )
  app.get(
    '/token-first',
    { onRequest: app.auth([app.authenticate as FastifyAuthFunction, byApiKey]) },
    async () => 'in'
  )
  app.get('/token-last', { onRequest: app.auth([byApiKey, app.authenticate as FastifyAuthFunction]) }, async () => 'in')
  const unavailable = sign({ ...goodClaims(issuer), jti: 'unavailable' })
  return { app, tokens: { good: sign(goodClaims(issuer)), bad: 'x', unavailable } }
}

t.test('an answer of 200 has no header of an authentication that failed before', async t => {
  const { app, tokens } = await lenientApp(t)
  for (const token of [undefined, ...Object.values(tokens)]) {
    for (const url of ['/optional', '/token-first', '/token-last']) {
      const answer = await send(app, `GET ${url}`, {
        headers: { 'x-api-key': 'good', ...(token !== undefined && bearer(token)) }
      })
      t.equal(answer.statusCode, 200, `${url}: ${token}`)
      t.same(refusalsIn(answer.headers), [], `${url}: ${token}`)
    }
  }
})

t.test('with @fastify/auth an error answer has the headers of its own error', async t => {
  const { app, tokens } = await lenientApp(t)
  const ask = async (url: string, token?: string) => {
    const { statusCode, headers } = await get(app, url, token)
    return [statusCode, headers['www-authenticate'], headers['retry-after']]
  }
  for (const url of ['/token-first', '/token-last']) t.match(await ask(url, tokens.good), [200, undefined, undefined])
  t.match(await ask('/token-last', tokens.bad), [401, challenge, undefined])
  t.match(await ask('/token-last', tokens.unavailable), [503, undefined, '1'])
  t.match(await ask('/token-first', tokens.bad), [401, undefined, undefined], 'the error is that of the API key')
  t.match(await ask('/token-first', tokens.unavailable), [503, undefined, '1'], 'the token may be good')
})

t.test('a challenge of another scheme is kept beside that of the token', async t => {
  const { app } = await lenientApp(t)
  const byPassword: FastifyAuthFunction = (_request, reply, done) => {
    reply.header('www-authenticate', 'Basic realm="a"')
    done(new Error('no password'))
  }
  app.get('/either', { onRequest: app.auth([byPassword, app.authenticate as FastifyAuthFunction]) }, async () => 'in')
  t.same((await get(app, '/either', 'x')).headers['www-authenticate'], ['Basic realm="a"', challenge])
})

t.test('an error handler of the app finds the headers of an error, from every source of errors', async t => {
  const revoke = async () => { throw new Error('READONLY') }
  const { app } = await bareApp(t, { blocklist: { ...createMemoryBlocklist(), revoke } })
  app.setErrorHandler(async (error, _request, reply) => {
    await reply.code((error as SignoutError).statusCode).send('refused')
  })
  app.post('/logout', async () => {
    await app.revoker.revoke([{ scope: 'token', id: 'a', expiresAt: nowSeconds() + 60 }])
  })
  const answer = await send(app, 'POST /logout')
  t.match([answer.statusCode, answer.body, answer.headers['retry-after']], [503, 'refused', '1'])
  t.equal((await get(app, '/me', 'x')).headers['www-authenticate'], challenge)
  t.equal((await get(app, '/own', 'x')).headers['www-authenticate'], challenge)
})
