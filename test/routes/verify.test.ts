import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { decodeJwt, SignJWT } from 'jose'
import t from 'tap'
import { build, issuer, serversEnv, shareStorages } from '../support/app.ts'
import { issueToken, signIn, signUp, signUpAdmin } from '../support/people.ts'
import { get, send, type Route } from '../support/requests.ts'
import { goodClaims, nowSeconds, wrongHeaders } from '../support/tokens.ts'

const onStorages = shareStorages(t)
const names = ['x-user-id', 'x-session-id', 'x-scope', 'x-auth-time']

/** Returns the status, the code of the error or `-`, and the challenge if there is one. */
function outcome ({ statusCode, headers, body }: LightMyRequestResponse): string {
  const code = body === '' ? '-' : (JSON.parse(body) as { error: string }).error
  const challenge = headers['www-authenticate']
  const shown = challenge === undefined ? '' : ` ${String(challenge).replace(/error_description="[^"]*", /, '')}`
  return `${statusCode} ${code}${shown}`
}

/** Signs claims as the service does. */
async function signed (app: FastifyInstance, claims: object): Promise<string> {
  const key = await app.keyRing.getSigningKey()
  return await new SignJWT({ ...goodClaims(issuer), ...claims })
    .setProtectedHeader({ alg: 'EdDSA', kid: key.kid, typ: 'at+jwt' })
    .sign(key.privateKey)
}

t.test('GET /verify answers 200 with four headers and no body', t => onStorages(t, async (t, app) => {
  const { token } = await signUp(app)
  const { sub, sid, scope, auth_time: authTime } = decodeJwt(token)
  const answer = await get(app, '/verify', token)
  t.equal(answer.statusCode, 200)
  t.equal(answer.body, '')
  t.equal(answer.headers['content-length'], '0')
  t.equal(answer.headers['cache-control'], 'no-store')
  t.same(names.map(name => answer.headers[name]), [sub, sid, scope, String(authTime)])
  const bare = await get(app, '/verify', await signed(app, { scope: '', auth_time: undefined }))
  t.same(names.slice(2).map(name => bare.headers[name]), ['', ''], 'empty ones are sent too')
}))

t.test('GET /verify refuses like every route, and names no user then', t => onStorages(t, async (t, app) => {
  const { token, username } = await signUp(app)
  for (const [what, { value, code }] of Object.entries(wrongHeaders(token))) {
    const answer = await send(app, 'GET /verify', { headers: value === undefined ? {} : { authorization: value } })
    t.match(outcome(answer), new RegExp(`^401 ${code} Bearer realm="signout"`), what)
    t.same(names.filter(name => name in answer.headers), [], what)
  }
  const cookie = await send(app, 'GET /verify', { headers: { cookie: `access_token=${token}; token=${token}` } })
  t.match(outcome(cookie), /^401 authorization_required/, 'no cookie is read')
  t.match(outcome(await get(app, `/verify?access_token=${token}`)), /^401 authorization_required/, 'and no query')
  const other = await signIn(app, username)
  await send(app, 'POST /logout', { token: other.access_token })
  const revoked = await get(app, '/verify?scope=admin&max_age=1', other.access_token)
  t.match(outcome(revoked), /^401 token_revoked Bearer .* error="invalid_token"/, 'before any requirement')
  t.equal((await get(app, '/verify', token)).statusCode, 200)
}))

t.test('GET /verify requires every scope of its query', t => onStorages(t, async (t, app) => {
  const { sub: userId = '', sid } = decodeJwt((await signUp(app)).token)
  const token = await issueToken(app, { userId, sessionId: String(sid), scope: 'articles:read articles:write' })
  for (const query of [
    'scope=articles:read', 'scope=articles:write+articles:read', 'scope=articles:read&scope=articles:write'
  ]) {
    t.equal((await get(app, `/verify?${query}`, token)).statusCode, 200, query)
  }
  for (const [query, scope] of [
    ['scope=admin', 'admin'],
    ['scope=articles:read%20admin', 'articles:read admin'],
    ['scope=articles:read&scope=articles', 'articles:read articles'],
    ['scope=articles:rea', 'articles:rea']
  ] as const) {
    t.equal(
      outcome(await get(app, `/verify?${query}`, token)),
      `403 forbidden Bearer realm="signout", error="insufficient_scope", scope="${scope}"`,
      query
    )
  }
  t.equal((await get(app, '/verify?scope=admin', (await signUpAdmin(app)).token)).statusCode, 200)
}))

t.test('GET /verify requires a recent login, as RFC 9470 says', t => onStorages(t, async (t, app) => {
  const leeway = 5
  const ages = [[0, 200], [55, 200], [60 + leeway + 2, 401], [-leeway - 5, 401], [undefined, 401]] as const
  for (const [age, status] of ages) {
    const token = await signed(app, { auth_time: age === undefined ? undefined : nowSeconds() - age })
    const answer = await get(app, '/verify?max_age=60', token)
    t.equal(answer.statusCode, status, `${age} s`)
    if (status === 200) continue
    t.equal(
      outcome(answer),
      '401 insufficient_user_authentication ' +
        'Bearer realm="signout", error="insufficient_user_authentication", max_age="60"'
    )
    t.match(outcome(await get(app, '/verify?max_age=60&scope=admin', token)), /^403 /, 'a missing scope comes first')
  }
}))

t.test('GET /verify refuses unknown and malformed options with 400', t => onStorages(t, async (t, app) => {
  const { token } = await signUp(app)
  for (const query of [
    'scopes=user', 'scope=', 'scope', 'scope=user&scope=', 'scope=%20user', 'scope=user%20%20user', 'scope=us%22er',
    'scope=us%0D%0Aer', 'scope=%C3%A9', 'scope[]=user', 'Scope=user', 'max_age=', 'max_age=0', 'max_age=-1',
    'max_age=1.5', 'max_age=1e3', 'max_age=60&max_age=90', 'max_age=99999999999', 'max_age=60&x=1', '__proto__=1',
    `scope=${'a'.repeat(2_000)}`, Array(30).fill('scope=user').join('&')
  ]) {
    const answer = await get(app, `/verify?${query}`, token)
    t.equal(outcome(answer), '400 invalid_request', query)
    t.same(names.filter(name => name in answer.headers), [])
  }
}))

t.test('/verify/… reads its options before the path of the client', t => onStorages(t, async (t, app) => {
  const { token } = await signUp(app)
  const status = async (path: string) => (await get(app, path, token)).statusCode
  for (const rest of ['', '/', '/articles/1?scope=admin&max_age=x', '/scope=admin/-']) {
    t.equal(await status(`/verify/-${rest}`), 200, rest)
    t.equal(await status(`/verify/scope=user&max_age=600${rest}`), 200, rest)
    t.equal(await status(`/verify/scope=admin${rest}`), 403, rest)
    t.equal(await status(`/verify/scope=user%20admin${rest}`), 403, rest)
  }
  for (const path of [
    '/verify/', '/verify//articles', '/verify/articles', '/verify/scopes=user/', '/verify/?scope=user'
  ]) {
    t.equal(await status(path), 400, path)
  }
  t.equal((await get(app, '/verify/-/articles')).statusCode, 401)
}))

t.test('A scope in a token cannot break out of its header', t => onStorages(t, async (t, app) => {
  for (const scope of ['user\r\nX-User-Id: root', 'user\nadmin', 'us"er', 'ädmin', ' user', 'user  admin', '\u0000']) {
    const answer = await get(app, '/verify', await signed(app, { scope }))
    t.match(outcome(answer), /^401 invalid_token/, JSON.stringify(scope))
  }
  const answer = await get(app, '/verify', await signed(app, { auth_time: 1e-7 }))
  t.match(answer.headers['x-auth-time'], /^[\w.-]*$/)
}))

t.test('/verify accepts every method, and ignores every body, over one connection', async t => {
  const app = await build(t, await serversEnv(t))
  const { token } = await signUp(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const headers = { authorization: `Bearer ${token}`, connection: 'keep-alive' }
  const ask = async (route: Route | 'PROPFIND /verify', extra: object = {}, body = '') => {
    const [method, path] = route.split(' ')
    const sent = httpRequest({ port, method, path, headers: { ...headers, ...extra } })
    sent.end(body)
    const [answer] = await once(sent, 'response') as [IncomingMessage]
    return Object.assign(answer, { text: await text(answer) })
  }
  const preflight = { origin: 'https://app.example.com', 'access-control-request-method': 'POST' }
  for (const path of ['/verify', '/verify/-/articles']) {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const) {
      const answer = await ask(`${method} ${path}`)
      t.same([answer.statusCode, answer.text, answer.headers['x-scope']], [200, '', 'user'], `${method} ${path}`)
      const stranger = await ask(`${method} ${path}`, { authorization: '', ...preflight })
      t.equal(stranger.statusCode, 401, `${method} without a token, even as a preflight`)
    }
    for (const type of ['application/json', 'text/plain', 'multipart/form-data; boundary=x', '']) {
      const answer = await ask(`POST ${path}`, type === '' ? {} : { 'content-type': type }, '{"not": json')
      t.equal(answer.statusCode, 200, `a body of ${type}`)
    }
    t.equal((await ask(`POST ${path}`, { 'content-type': 'no type' }, 'x')).statusCode, 415, 'a header that is wrong')
    const large = await ask(`PUT ${path}`, { 'content-type': 'application/json' }, 'x'.repeat(1_000_000))
    t.equal(large.statusCode, 200, 'a large body')
  }
  for (const dots of ['..', '%2e%2e', '..%2f..']) {
    t.equal((await ask(`GET /verify/scope=admin/${dots}/-/x`)).statusCode, 403, `${dots} leads nowhere`)
  }
  t.equal((await ask('PROPFIND /verify')).statusCode, 405, 'a method that is no method of the service')
  const twice = await ask('GET /verify', { authorization: [headers.authorization, 'Bearer other'] })
  t.equal(twice.statusCode, 401, 'two Authorization headers')
  t.equal((await ask('GET /verify', { authorization: `Bearer ${'a'.repeat(9_000)}` })).statusCode, 401, 'a long token')
  t.equal((await ask('GET /verify', { authorization: `Bearer ${'a'.repeat(20_000)}` })).statusCode, 431)
})
