import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { decodeJwt } from 'jose'
import { issueToken } from '../support/people.ts'
import { until } from '../support/wait.ts'
import { askRaw, setScene, tokenOf, valuesOf, type Scene } from './behind-protection.ts'
import { startProtectedCaddy, startProtectedNginx } from './proxies.ts'

const names = ['X-User-Id', 'X-Session-Id', 'X-Scope', 'X-Auth-Time']
/** Every way to write a name that a service may read as the same. */
const spellings = names.flatMap(name => [
  name, name.toLowerCase(), name.toUpperCase(), name.replaceAll('-', '_'), name.replace('-', '_'),
  name.replace(/-(?=[^-]*$)/, '_'), name.toLowerCase().replaceAll('-', '_')
])

for (const [proxy, start] of [['nginx', startProtectedNginx], ['Caddy', startProtectedCaddy]] as const) {
  t.test(`${proxy} asks signout before it forwards a request, and answers for it otherwise`, async t => {
    const scene = await setScene(t, start)
    await t.test('forged headers never reach the service', t => testForged(t, scene))
    await t.test('bodies reach the service, of any method', t => testBodies(t, scene))
    await t.test('refusals have their status and their challenge', t => testRefusals(t, scene))
    await t.test('the connections to signout are kept', t => testKeepAlive(t, scene))
    await t.test('a logout ends access at once', t => testLogout(t, scene))
    await t.test('a stalled Redis is 503 with Retry-After, and so is a signout that is down', t => testOutage(t, scene))
  })
}

/** With a token and without, as 200 and as a token without `auth_time`: only what signout says arrives. */
async function testForged (t: Test, { front, app, token, userId, sessionId, received }: Scene): Promise<void> {
  const headers = spellings.flatMap(name => [name, 'forged', name, 'forged again'])
  const { auth_time: authTime } = decodeJwt(token)
  received.length = 0
  const answer = await askRaw(front, 'GET', '/articles/1?scope=admin', { token, headers })
  t.same([answer.status, answer.body], [200, 'the article'])
  const [request] = received
  if (request === undefined) throw new Error('The service has received nothing.')
  t.same(names.map(name => valuesOf(request, name)), [[userId], [sessionId], ['articles:read'], [String(authTime)]])
  t.notMatch(JSON.stringify(request.rawHeaders), /forged/)
  t.equal(request.url, '/articles/1?scope=admin')
  // The headers are named as headers of one hop, so that a proxy drops them on its way to signout or to the service.
  received.length = 0
  const dropping = [
    'Connection', names.join(', '), 'X-Original-URL', '/verify', 'X-Rewrite-URL', '/verify', 'X-Forwarded-Uri', '/'
  ]
  t.equal((await askRaw(front, 'GET', '/', { token, headers: [...headers, ...dropping] })).status, 200)
  t.notMatch(JSON.stringify(received), /forged/)
  received.length = 0
  t.equal((await askRaw(front, 'GET', '/', { headers })).status, 401)
  const user = await issueToken(app, { userId, sessionId, scope: 'user' })
  t.equal((await askRaw(front, 'GET', '/', { token: user, headers: [...headers, ...dropping] })).status, 403)
  t.same(received, [], 'a refused request never reaches the service')
}

async function testBodies (t: Test, { front, token, received }: Scene): Promise<void> {
  const body = randomBytes(300_000).toString('hex')
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
    for (const isChunked of [false, true]) {
      received.length = 0
      const headers = ['Content-Type', 'text/plain', 'Cookie', 'a=b']
      const { status } = await askRaw(front, method, '/articles', { token, headers, body, isChunked })
      t.equal(status, 200, method)
      t.same(received.map(({ method }) => method), [method])
      t.ok(received[0]?.body === body, `the whole body of ${method}, ${isChunked ? 'in chunks' : 'with its length'}`)
      t.match(received[0]?.rawHeaders.join(), 'a=b', 'the service gets the cookies')
    }
  }
}

async function testRefusals (t: Test, { front, app, token, userId, sessionId, received }: Scene): Promise<void> {
  received.length = 0
  const bare = await askRaw(front, 'POST', '/', { body: 'x' })
  t.same([bare.status, challengesOf(bare)], [401, ['Bearer realm="signout"']])
  const wrong = await askRaw(front, 'GET', '/', { token: `${token}x` })
  t.equal(wrong.status, 401)
  t.match(challengesOf(wrong), [/error="invalid_token"/])
  t.equal(challengesOf(wrong).length, 1)
  const twice = await askRaw(front, 'GET', '/', { token, headers: ['Authorization', 'Bearer other'] })
  t.ok(twice.status === 401 || twice.status === 400, `two Authorization headers: ${twice.status}`)
  const other = await issueToken(app, { userId, sessionId, scope: 'articles articles:write' })
  const forbidden = await askRaw(front, 'GET', '/', { token: other })
  t.equal(forbidden.status, 403)
  t.match(challengesOf(forbidden), [/error="insufficient_scope".*scope="articles:read"$/])
  const giant = await askRaw(front, 'GET', '/', { token: 'a'.repeat(30_000) })
  t.ok(Number(giant.status) >= 400, `a giant token: ${giant.status}`)
  for (const answer of [bare, wrong, forbidden]) {
    t.match(answer.headers['content-type'], /^application\/json/)
    t.ok(JSON.parse(answer.body).error)
    t.equal(answer.headers['retry-after'], undefined)
    t.equal(answer.headers['cache-control'], 'no-store')
  }
  for (const path of ['/signout-verify', '/verify', '/../verify/-/', '//verify/-/x']) {
    t.ok([400, 401, 404].includes(Number((await askRaw(front, 'GET', path)).status)), `${path} is nothing for clients`)
  }
  t.same(received, [])
}

async function testKeepAlive (t: Test, { front, token, connections }: Scene): Promise<void> {
  const before = connections()
  for (let number = 0; number < 30; number++) t.equal((await askRaw(front, 'GET', '/', { token })).status, 200)
  t.ok(connections() - before <= 4, `30 requests opened ${connections() - before} connections to signout`)
}

async function testLogout (t: Test, { front, app, token, received }: Scene): Promise<void> {
  const { token: second } = await tokenOf(app)
  t.equal((await askRaw(front, 'GET', '/', { token: second })).status, 200)
  const logout = await app.inject({ method: 'POST', url: '/logout', headers: { authorization: `Bearer ${second}` } })
  t.equal(logout.statusCode, 200)
  received.length = 0
  for (let number = 0; number < 5; number++) {
    const answer = await askRaw(front, 'GET', '/', { token: second })
    t.equal(answer.status, 401)
    t.match(challengesOf(answer), [/The token has been revoked\./])
  }
  t.same(received, [])
  t.equal((await askRaw(front, 'GET', '/', { token })).status, 200, 'other sessions go on')
}

async function testOutage (t: Test, { front, app, redis, token, received }: Scene): Promise<void> {
  redis.pause()
  received.length = 0
  for (let number = 0; number < 3; number++) expectUnavailable(t, await askRaw(front, 'GET', '/', { token }), 'stalled')
  t.same(received, [])
  redis.resume()
  await until('requests pass again', async () => (await askRaw(front, 'GET', '/', { token })).status === 200)
  received.length = 0
  await app.close()
  for (let number = 0; number < 3; number++) {
    expectUnavailable(t, await askRaw(front, 'POST', '/', { token, body: 'x' }), 'signout is down')
  }
  expectUnavailable(t, await askRaw(front, 'GET', '/'), 'without a token')
  t.same(received, [])
}

function expectUnavailable (t: Test, answer: Awaited<ReturnType<typeof askRaw>>, what: string): void {
  t.equal(answer.status, 503, what)
  t.equal(answer.headers['retry-after'], '1', what)
  t.same(challengesOf(answer), [], what)
  t.match(JSON.parse(answer.body).error, /_unavailable$/, what)
}

function challengesOf ({ rawHeaders }: { rawHeaders: string[] }): string[] {
  return rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'www-authenticate')
}
