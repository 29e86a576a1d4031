import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import auth, { createMemoryBlocklist, type JwtOptions } from '../../../plugins/auth/auth.ts'
import { build, serversEnv } from '../../support/app.ts'
import { signUp } from '../../support/people.ts'
import { get, send } from '../../support/requests.ts'
import { forge, goodClaims, hs256 } from '../../support/tokens.ts'

const secret = 'the secret of somebody else\'s app'
const issuer = 'another-issuer'
const sign = (payload: object) => forge({ alg: 'HS256', typ: 'JWT' }, payload, hs256(secret))
const cookie = { cookieName: 'token', signed: false }

async function bareApp (t: Test, jwt: Partial<JwtOptions> = {}): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  app.addHook('onRequest', async request => {
    Object.assign(request, { cookies: { token: request.headers['x-cookie'] } })
  })
  await app.register(auth, {
    blocklist: createMemoryBlocklist({ leewaySeconds: 5 }),
    jwt: { secret, verify: { algorithms: ['HS256'] }, ...jwt } as JwtOptions
  })
  app.get('/me', { onRequest: app.authenticate }, async request => request.user)
  app.get('/own', { onRequest: async request => { await request.jwtVerify() } }, async request => request.user)
  app.get('/decoded', async request => await request.jwtDecode())
  app.get(
    '/cookie',
    { onRequest: async request => { await request.jwtVerify({ onlyCookie: true } as never) } },
    async request => request.user
  )
  app.get(
    '/callback',
    {
      onRequest: (request, _reply, done) => {
        request.jwtVerify(done as never)
      }
    },
    async request => request.user
  )
  return app
}

/** Sends headers as given, also two with the same name. */
async function sendHeaders (
  address: string,
  path: string,
  authorization: string[],
  method = 'GET',
  payload = ''
): Promise<{ statusCode: number | undefined; error: string }> {
  const sent = request(new URL(path, address), {
    method,
    headers: {
      authorization: authorization as unknown as string,
      ...(payload !== '' && { 'content-type': 'application/json' })
    }
  })
  sent.end(payload)
  const [answer] = await once(sent, 'response') as [IncomingMessage]
  const body = await text(answer)
  const { error, code } = JSON.parse(answer.headers['content-type']?.includes('json') ? body : '{}') as {
    error: string
    code?: string
  }
  return { statusCode: answer.statusCode, error: code ?? error }
}

const malformed = { statusCode: 401, error: 'invalid_token' }

t.test('any number of spaces after Bearer is legal (RFC 9110, section 11.4), for every reader of tokens', async t => {
  const claims = goodClaims(issuer)
  for (const jwt of [{}, { cookie }]) {
    const app = await bareApp(t, jwt)
    for (const spaces of [' ', '  ', ' '.repeat(20)]) {
      for (const url of ['/me', '/me', '/own', '/callback', '/decoded']) {
        const { statusCode, body } = await send(app, `GET ${url}`, {
          headers: { authorization: `bearer${spaces}${sign(claims)}` }
        })
        t.match([statusCode, JSON.parse(body)], [200, claims], `${url}, ${spaces.length} spaces`)
      }
    }
  }
})

t.test('the service reads a token after several spaces, on every route that takes one', async t => {
  const scrapeToken = 'a-token-for-those-who-scrape'
  const app = await build(t, { ...await serversEnv(t), METRICS_TOKEN: scrapeToken })
  const { token } = await signUp(app)
  const authorization = `Bearer   ${token}`
  t.equal((await send(app, 'GET /token', { headers: { authorization } })).statusCode, 200)
  t.equal(
    (await send(app, 'GET /metrics', { headers: { authorization: `Bearer   ${scrapeToken}` } })).statusCode,
    200
  )
  t.equal(
    (await send(app, 'GET /metrics', { headers: { authorization: `Bearer\t${scrapeToken}` } })).json().error,
    'invalid_token'
  )
  const { isRevoked } = app.blocklist
  app.blocklist.isRevoked = () => { throw new Error('ECONNREFUSED') }
  t.equal(
    (await send(app, 'POST /logout', { headers: { authorization } })).statusCode,
    200,
    'by the record, while the blocklist cannot be read'
  )
  Object.assign(app.blocklist, { isRevoked })
  t.equal((await get(app, '/token', token)).json().error, 'token_revoked')
})

t.test('two Authorization headers are a malformed credential, in any order and even if both are good', async t => {
  const app = await bareApp(t)
  const withCookie = await bareApp(t, { cookie })
  const good = `Bearer ${sign(goodClaims(issuer))}`
  for (const address of [await app.listen({ port: 0 }), await withCookie.listen({ port: 0 })]) {
    // From then on the token is remembered.
    t.match(await sendHeaders(address, '/me', [good]), { statusCode: 200 })
    for (const headers of [[good, 'Bearer x'], ['Bearer x', good], [good, good], ['Basic YTpi', good], [good, '']]) {
      for (const path of ['/me', '/own', '/decoded']) {
        t.same(
          await sendHeaders(address, path, headers),
          malformed,
          `${path}: ${headers.map(header => header.slice(0, 8)).join()}`
        )
      }
    }
    t.match(await sendHeaders(address, '/me', [good]), { statusCode: 200 })
  }
  t.equal(
    (await send(withCookie, 'GET /cookie', { headers: { authorization: 'Bearer x', 'x-cookie': good.slice(7) } }))
      .statusCode,
    200,
    'what is told to look at the cookie only does so'
  )
})

t.test('the service refuses two Authorization headers, and at /logout they end no session', async t => {
  const scrapeToken = 'a-token-for-those-who-scrape'
  const app = await build(t, { ...await serversEnv(t), METRICS_TOKEN: scrapeToken })
  const { token } = await signUp(app)
  const address = await app.listen({ port: 0 })
  const twice = [`Bearer ${token}`, `Bearer ${token}`]
  t.same(await sendHeaders(address, '/token', twice), malformed)
  t.same(await sendHeaders(address, '/metrics', [`Bearer ${scrapeToken}`, `Bearer ${scrapeToken}`]), malformed)
  for (const body of ['', JSON.stringify({ refresh_token: 'A'.repeat(43) })]) {
    t.same(await sendHeaders(address, '/logout', twice, 'POST', body), malformed)
  }
  t.same(await sendHeaders(address, '/me/sessions', twice), malformed)
  t.match(await sendHeaders(address, '/token', [`Bearer ${token}`]), { statusCode: 200 }, 'and nothing has ended')
})

t.test('a header that an earlier hook of the app has set is used as the credential', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.addHook('onRequest', async request => {
    request.headers.authorization = `Bearer ${String((request.query as { token?: string }).token)}`
  })
  await app.register(auth, { blocklist: createMemoryBlocklist({ leewaySeconds: 5 }), jwt: { secret } })
  app.get('/me', { onRequest: app.authenticate }, async () => 'in')
  t.equal((await get(app, `/me?token=${sign(goodClaims(issuer))}`)).statusCode, 200)
})
