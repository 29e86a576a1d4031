import t from 'tap'
import { issuer, shareStorages } from '../support/app.ts'
import { asCookieClient, cookieName, cookieOf, createCookieClient } from '../support/cookie-client.ts'
import { letTimePass } from '../support/database.ts'
import { password, register, signIn, signUp, type Pair } from '../support/people.ts'
import { expectError, get, outcome, send } from '../support/requests.ts'
import { ended, isAccepted, refusals, sessionIdOf } from '../support/sessions.ts'

const listed = 'https://app.example.com'
const onEachStorage = shareStorages(t, { COOKIES: 'on', CORS_ORIGINS: listed })
const newPassword = 'another correct horse battery staple'

t.test('a cookie client never has its refresh token in a body', t => onEachStorage(t, async (t, app) => {
  const { username } = await register(app)
  const client = createCookieClient(app)
  const login = await client.send('POST /login', { body: { username, password } })
  const steps = [
    login,
    await client.send('POST /refresh'),
    await client.send('POST /reauthenticate', { token: login.json().access_token, body: { password } })
  ]
  const { access_token: token } = steps[2]?.json() as Pair
  const change = { current_password: password, new_password: newPassword }
  steps.push(await client.send('PUT /me/password', { token, body: change }))
  const cookies = steps.map(cookieOf)
  for (const [index, answer] of steps.entries()) {
    t.equal(answer.statusCode, 200, answer.body)
    t.same(Object.keys(answer.json()).sort(), ['access_token', 'expires_in', 'refresh_expires_in', 'token_type'])
    t.match(cookies[index], /^[\w-]{43}$/)
    t.notOk(answer.body.includes(String(cookies[index])))
    const { refresh_expires_in: lifetime } = answer.json()
    t.equal(
      answer.headers['set-cookie'],
      `${cookieName}=${cookies[index]}; Path=/; Max-Age=${lifetime}; HttpOnly; Secure; SameSite=Strict`
    )
  }
  t.equal(new Set(cookies).size, 4, 'each replaces the one before')
  t.equal((await client.send('POST /refresh')).statusCode, 200, 'and the last one works')
}))

t.test('the logout of a cookie client ends its session, and deletes the cookie', t => onEachStorage(t, async (t, app) => {
  const { username } = await register(app)
  for (const hasToken of [true, false]) {
    const client = createCookieClient(app)
    const pair = (await client.send('POST /login', { body: { username, password } })).json() as Pair
    const refreshToken = String(client.cookie)
    const answer = await client.send('POST /logout', { token: hasToken ? pair.access_token : undefined })
    t.equal(answer.statusCode, 200)
    t.equal(
      answer.headers['set-cookie'], `${cookieName}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict`
    )
    t.same(await refusals(app, { ...pair, refresh_token: refreshToken }), ended)
  }
}))

t.test('bearer clients work as ever beside cookie clients, and cookies of theirs are ignored', t =>
  onEachStorage(t, async (t, app) => {
    const { username, pair } = await signUp(app)
    const client = createCookieClient(app)
    await client.send('POST /login', { body: { username, password } })
    const headers = { cookie: `${cookieName}=${client.cookie}` }
    const renewed = await send(app, 'POST /refresh', { headers, body: { refresh_token: pair.refresh_token } })
    t.equal(sessionIdOf(renewed.json()), sessionIdOf(pair))
    t.match(renewed.json().refresh_token, /^[\w-]{43}$/)
    const missing = await send(app, 'POST /refresh', { headers })
    t.match(missing.json(), { error: 'invalid_request', description: 'The body is empty or null. Send a JSON object.' })
    const empty = await send(app, 'POST /refresh', { headers, body: {} })
    t.same(empty.json().details, [{ path: '/refresh_token', message: 'is missing' }])
    expectError(t, await send(app, 'POST /logout', { headers }), 401, 'authorization_required')
    const out = await send(app, 'POST /logout', { headers, token: pair.access_token })
    for (const answer of [renewed, missing, out]) t.equal(answer.headers['set-cookie'], undefined)
    t.equal((await client.send('POST /refresh')).statusCode, 200, 'the session of the cookie lives')
  }))

t.test('a refresh token in the body of a cookie client is ignored', t => onEachStorage(t, async (t, app) => {
  const [one, other] = [await signUp(app), await signUp(app)]
  const body = { refresh_token: other.pair.refresh_token }
  const none = await send(app, 'POST /refresh', { headers: asCookieClient(), body })
  expectError(t, none, 401, 'authorization_required')
  t.match(none.json().description, 'no refresh cookie')
  expectError(t, await send(app, 'POST /logout', { headers: asCookieClient(), body }), 401, 'authorization_required')
  const headers = asCookieClient(one.pair.refresh_token)
  const renewed = await send(app, 'POST /refresh', { headers, body })
  t.equal(sessionIdOf(renewed.json()), sessionIdOf(one.pair))
  const out = await send(app, 'POST /logout', { headers: asCookieClient(cookieOf(renewed)), body })
  t.equal(out.statusCode, 200)
  t.notOk(await isAccepted(app, one.pair))
  t.ok(await isAccepted(app, other.pair))
  for (const wrong of [[], 'text', 5, { unknown: 1 }, { password: 1 }]) {
    const answer = await send(app, 'POST /logout', {
      headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(wrong)
    })
    expectError(t, answer, 400, 'invalid_request', JSON.stringify(wrong))
  }
}))

t.test('no error changes the cookie, so the answer of a tab that lost a race harms no other tab', t =>
  onEachStorage(t, async (t, app) => {
    const { username, pair, token } = await signUp(app)
    const change = { current_password: 'a wrong password, again', new_password: newPassword }
    for (const [answer, expected] of [
      [await send(app, 'POST /refresh', { headers: asCookieClient() }), '401 authorization_required'],
      [await send(app, 'POST /refresh', { headers: asCookieClient('x'.repeat(43)) }), '401 invalid_token'],
      [await send(app, 'POST /logout', { headers: asCookieClient('x') }), '401 invalid_token'],
      [await send(app, 'POST /logout', { headers: asCookieClient() }), '401 authorization_required'],
      [await send(app, 'POST /login', {
        headers: asCookieClient(pair.refresh_token), body: { username, password: 'wrong' }
      }), '401 invalid_credentials'],
      [await send(app, 'PUT /me/password', {
        headers: asCookieClient(pair.refresh_token), token, body: change
      }), '403 invalid_credentials']
    ] as const) {
      t.equal(outcome(answer), expected)
      t.equal(answer.headers['set-cookie'], undefined, expected)
    }
    const headers = asCookieClient(pair.refresh_token)
    t.equal((await send(app, 'POST /logout', { headers })).statusCode, 200)
    const answer = await send(app, 'POST /refresh', { headers })
    t.equal(outcome(answer), '401 token_revoked')
    t.equal(answer.headers['set-cookie'], undefined)
  }))

t.test('tabs that refresh at once with one cookie get the same pair', t => onEachStorage(t, async (t, app) => {
  const { username } = await register(app)
  const client = createCookieClient(app)
  await client.send('POST /login', { body: { username, password } })
  const { cookie } = client
  const answers = await Promise.all(['one', 'two', 'three'].map(() =>
    send(app, 'POST /refresh', { headers: asCookieClient(cookie) })))
  t.same(answers.map(outcome), ['200', '200', '200'])
  t.equal(new Set(answers.map(cookieOf)).size, 1)
  await letTimePass(app, 60)
  const late = await send(app, 'POST /refresh', { headers: asCookieClient(cookie) })
  t.equal(late.statusCode, 200, 'an answer was lost, and its pair is unused')
  t.not(cookieOf(late), cookieOf(answers[0] as typeof late))
}))

t.test('a logout of a cookie client succeeds with one good credential beside a bad one', t =>
  onEachStorage(t, async (t, app) => {
    const { username } = await register(app)
    for (const [cookie, header] of [
      ['malformed', undefined], ['x'.repeat(12_000), undefined], ['"quoted"', undefined], ['%41%42', undefined],
      [undefined, 'Bearer undefined'], ['one; __Host-signout-refresh=two', undefined], ['', undefined]
    ] as const) {
      const pair = await signIn(app, username)
      const answer = await send(app, 'POST /logout', {
        headers: {
          ...asCookieClient(cookie ?? pair.refresh_token), authorization: header ?? `Bearer ${pair.access_token}`
        }
      })
      t.equal(answer.statusCode, 200, `${cookie?.slice(0, 40)} ${header}`)
      t.equal((await get(app, '/token', pair.access_token)).statusCode, 401)
    }
  }))

t.test('a cookie that no browser sends is refused, and no token is guessed from it', t =>
  onEachStorage(t, async (t, app) => {
    const { pair: { refresh_token: token } } = await signUp(app)
    for (const [cookie, expected] of [
      [`${cookieName}=${token}; ${cookieName}=${token}`, '400 invalid_request'],
      [`${cookieName}=x;${cookieName}=${token}`, '400 invalid_request'],
      [`${cookieName}="${token}"`, '401 invalid_token'],
      [`${cookieName}=${token}x`, '401 invalid_token'],
      [`${cookieName}=${'x'.repeat(12_000)}`, '401 invalid_token'],
      [`${cookieName}=${encodeURIComponent(`${token}=`)}`, '401 invalid_token'],
      [`${cookieName}=`, '401 authorization_required'],
      [`${cookieName.toLowerCase()}=${token}`, '401 authorization_required'],
      [`x${cookieName}=${token}`, '401 authorization_required'],
      [`signout-refresh=${token}`, '401 authorization_required'],
      [`a=b,${cookieName}=${token}`, '401 authorization_required'],
      [cookieName, '401 authorization_required']
    ] as const) {
      const answer = await send(app, 'POST /refresh', { headers: { 'x-signout-csrf': '1', cookie } })
      t.equal(outcome(answer), expected, cookie.slice(0, 80))
    }
    for (const route of ['POST /refresh', 'POST /logout'] as const) {
      const twice = await send(app, route, { headers: asCookieClient(`x; ${cookieName}=${token}`) })
      t.match(twice.json(), { error: 'invalid_request', description: /refresh cookie more than once/ }, route)
    }
    const others = `a=b; ${cookieName}=${token} ; c="d;e"`
    const answer = await send(app, 'POST /refresh', { headers: { 'x-signout-csrf': '1', cookie: others } })
    t.equal(answer.statusCode, 200, 'other cookies do no harm')
  }))

/** Headers of requests, and the answer that a cookie client with a good cookie gets. */
const pages: Array<[headers: Record<string, string>, expected: string]> = [
  [{}, '200'],
  [{ origin: issuer }, '200'],
  [{ origin: issuer, 'sec-fetch-site': 'same-origin' }, '200'],
  [{ 'sec-fetch-site': 'same-origin' }, '200'],
  [{ origin: listed, 'sec-fetch-site': 'same-site' }, '200'],
  [{ origin: listed }, '200'],
  [{ 'sec-fetch-site': 'same-site' }, '403 origin_not_allowed'],
  [{ origin: listed, 'sec-fetch-site': 'cross-site' }, '403 origin_not_allowed'],
  [{ origin: issuer, 'sec-fetch-site': 'cross-site' }, '403 origin_not_allowed'],
  [{ origin: issuer, 'sec-fetch-site': 'none' }, '403 origin_not_allowed'],
  [{ origin: issuer, 'sec-fetch-site': '' }, '403 origin_not_allowed'],
  [{ origin: 'https://evil.example.com', 'sec-fetch-site': 'same-site' }, '403 origin_not_allowed'],
  [{ origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' }, '403 origin_not_allowed'],
  [{ origin: 'https://evil.example' }, '403 origin_not_allowed'],
  [{ origin: 'null' }, '403 origin_not_allowed'],
  [{ origin: '' }, '403 origin_not_allowed'],
  [{ origin: `${issuer}/` }, '403 origin_not_allowed'],
  [{ origin: issuer.replace('https', 'http') }, '403 origin_not_allowed'],
  [{ origin: `${issuer}, ${issuer}` }, '403 origin_not_allowed'],
  [{ 'x-signout-csrf': '0' }, '400 invalid_request'],
  [{ 'x-signout-csrf': '' }, '400 invalid_request'],
  [{ 'x-signout-csrf': '1, 1' }, '400 invalid_request'],
  [{ 'x-signout-csrf': '11' }, '400 invalid_request'],
  [{ 'x-signout-csrf': 'true' }, '400 invalid_request']
]

t.test('a request of a page that may not use the cookie is refused, and nothing has happened', t =>
  onEachStorage(t, async (t, app) => {
    const { username, token, pair } = await signUp(app)
    const change = { current_password: password, new_password: newPassword }
    for (const [headers, expected] of pages.filter(([, expected]) => expected !== '200')) {
      for (const [route, options] of [
        ['POST /logout', {}], ['POST /logout', { token }], ['POST /logout?scope=all', { token }],
        ['POST /refresh', {}], ['POST /login', { body: { username, password } }],
        ['POST /reauthenticate', { token, body: { password } }], ['PUT /me/password', { token, body: change }]
      ] as const) {
        const all = { ...asCookieClient(pair.refresh_token), ...headers }
        const answer = await send(app, route, { ...options, headers: all })
        t.equal(outcome(answer), expected, `${route} ${JSON.stringify(headers)}`)
        if (expected.startsWith('400')) t.equal(answer.json().description, 'X-Signout-CSRF must be 1.')
        t.equal(answer.headers['set-cookie'], undefined)
      }
    }
    t.ok(await isAccepted(app, pair), 'the session lives')
    t.equal((await send(app, 'POST /refresh', { headers: asCookieClient(pair.refresh_token) })).statusCode, 200)
  }))

t.test('a page of the issuer or of CORS_ORIGINS on the same site may use the cookie, and so may a program', t =>
  onEachStorage(t, async (t, app) => {
    const { username } = await register(app)
    for (const [headers] of pages.filter(([, expected]) => expected === '200')) {
      const client = createCookieClient(app)
      for (const [route, options] of [
        ['POST /login', { body: { username, password } }], ['POST /refresh', {}], ['POST /logout', {}]
      ] as const) {
        const answer = await client.send(route, { ...options, headers })
        t.equal(outcome(answer), '200', `${route} ${JSON.stringify(headers)}`)
      }
      t.equal(client.cookie, undefined)
    }
  }))
