import t from 'tap'
import { buildWaitingApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { OutageError } from '../../src/errors.ts'
import { shareServers } from '../support/app.ts'
import { addClient, postForm, type Endpoint } from '../support/oauth.ts'
import { signUp } from '../support/people.ts'
import { expectError, send, type Route } from '../support/requests.ts'
import { isAccepted } from '../support/sessions.ts'

const onServers = shareServers(t)
const endpoints: Endpoint[] = ['token', 'revoke', 'introspect']

t.test('the endpoints of OAuth take forms alone, and refuse what is malformed', t => onServers(t, async (t, app) => {
  const { headers } = await addClient(app)
  const json = { 'content-type': 'application/json' }
  for (const endpoint of endpoints) {
    const post = (body: string, given = {}) => postForm(app, endpoint, body, { headers: { ...headers, ...given } })
    expectError(t, await post('{"token":"x"}', json), 415, 'invalid_request', `${endpoint}: JSON`)
    expectError(t, await post('token=x', { 'content-type': 'text/plain' }), 415, 'invalid_request', 'text')
    expectError(t, await post('x'.repeat(65_537)), 413, 'invalid_request', 'too long')
    for (const body of [
      '', 'token=', 'grant_type=', 'Token=x', 'token=x&token=x&grant_type=refresh_token', 'grant_type=a&grant_type=a',
      'token=%', 'token=%ff', 'token=%zz', 'a=1&a=', '&&&', '=', '%00=%00', '{}'
    ]) {
      expectError(t, await post(body), 400, 'invalid_request', `${endpoint}: ${body}`)
    }
  }
  const plain = await send(app, 'POST /oauth/revoke', { headers })
  t.match(plain.json(), { error: 'invalid_request', error_description: 'The parameter token is missing.' })
}))

t.test('unknown parameters and names of objects are ignored', t => onServers(t, async (t, app) => {
  const { headers } = await addClient(app)
  const body = '__proto__=x&constructor=y&toString=z&unknown=%F0%9F%90%8E&&token=x+y&'
  t.equal((await postForm(app, 'introspect', body, { headers })).body, '{"active":false}')
}))

t.test('parameters of the query do not count', t => onServers(t, async (t, app) => {
  const { pair } = await signUp(app)
  const route: Route = `POST /oauth/revoke?token=${pair.access_token}&client_id=signout`
  expectError(t, await send(app, route), 400, 'invalid_request')
  t.ok(await isAccepted(app, pair))
}))

t.test('every error below /oauth/ has the form of RFC 6749', t => onServers(t, async (t, app) => {
  for (const [route, status, error] of [
    ['GET /oauth/token', 405, 'invalid_request'],
    ['DELETE /oauth/introspect', 405, 'invalid_request'],
    ['POST /oauth/authorize', 404, 'invalid_request'],
    ['GET /oauth/', 404, 'invalid_request'],
    ['GET /oauth/%zz', 400, 'invalid_request'],
    ['POST /%6fauth/token', 400, 'invalid_request']
  ] satisfies Array<[Route, number, string]>) {
    const answer = await send(app, route)
    t.equal(answer.statusCode, status, route)
    t.same(Object.keys(answer.json()), ['error', 'error_description'], route)
    t.equal(answer.json().error, error, route)
    t.equal(answer.headers['cache-control'], 'no-store', route)
    // The characters of RFC 6749, section 5.2.
    t.match(answer.json().error_description, /^[\x20\x21\x23-\x5B\x5D-\x7E]+$/, route)
  }
  t.equal((await send(app, 'GET /oauth/token')).headers.allow, 'POST, OPTIONS')
  t.same(Object.keys((await send(app, 'GET /oauthx')).json()), ['error', 'description'], 'elsewhere as before')
}))

t.test('while the service cannot start, an endpoint of OAuth answers in its form', async t => {
  const { log } = (await import('fastify')).default({ logger: false })
  const app = buildWaitingApp(loadConfig({}), log, new OutageError('database', 'down'))
  t.teardown(() => app.close())
  const answer = await send(app, 'POST /oauth/introspect', { body: 'token=x' })
  expectError(t, answer, 503, 'temporarily_unavailable')
  t.equal(answer.headers['retry-after'], '1')
})
