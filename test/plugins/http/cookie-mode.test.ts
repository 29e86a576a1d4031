import t, { type Test } from 'tap'
import { build, serversEnv } from '../../support/app.ts'
import { asCookieClient, cookieOf } from '../../support/cookie-client.ts'
import { password, register, signUp } from '../../support/people.ts'
import { expectError, send, type Route } from '../../support/requests.ts'

const origin = 'https://app.example.com'

/** Returns the header that lets a page of a listed origin send cookies. */
async function credentialsHeader (t: Test, settings: Record<string, string>, from = origin): Promise<unknown> {
  const app = await build(t, { ...await serversEnv(t), ...settings })
  const answers = [
    await send(app, 'GET /me', { headers: { origin: from } }),
    await send(app, 'OPTIONS /refresh', { headers: { origin: from, 'access-control-request-method': 'POST' } })
  ]
  const [value, other] = answers.map(({ headers }) => headers['access-control-allow-credentials'])
  t.equal(value, other, 'a preflight says what the answer says')
  return value
}

t.test('a page of a listed origin may send cookies only with COOKIES=on, and a page of another origin never', async t => {
  const listed = { CORS_ORIGINS: origin }
  t.equal(await credentialsHeader(t, { ...listed, COOKIES: 'on' }), 'true')
  t.equal(await credentialsHeader(t, listed), undefined)
  t.equal(await credentialsHeader(t, { COOKIES: 'on' }), undefined)
  t.equal(await credentialsHeader(t, { ...listed, COOKIES: 'on' }, 'https://evil.example'), undefined)
})

t.test('with COOKIES=off a request of a cookie client is 400, so no refresh token gets into a body', async t => {
  const app = await build(t, await serversEnv(t))
  const { username, token, pair } = await signUp(app)
  const routes: Array<[Route, object]> = [
    ['POST /login', { body: { username, password } }], ['POST /refresh', {}], ['POST /logout', { token }],
    ['POST /refresh', { body: { refresh_token: pair.refresh_token } }],
    ['POST /reauthenticate', { token, body: { password } }],
    ['PUT /me/password', { token, body: { current_password: password, new_password: `${password} again` } }]
  ]
  for (const [route, options] of routes) {
    const answer = await send(app, route, { ...options, headers: asCookieClient(pair.refresh_token) })
    expectError(t, answer, 400, 'invalid_request', route)
    t.match(answer.json().description, /Cookie mode is off\. .* COOKIES=on/)
    t.equal(cookieOf(answer), undefined, route)
  }
  const { username: other } = await register(app)
  t.equal((await send(app, 'POST /login', { body: { username: other, password } })).json().refresh_token.length, 43)
})
