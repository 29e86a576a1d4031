import t, { type Test } from 'tap'
import { execute, openDocs } from '../support/docs-page.ts'
import { password, register } from '../support/people.ts'
import { until } from '../support/wait.ts'
import { ask, byCookie, keptCookie, openPage, openScene, otherHost, type Scene } from './scene.ts'

t.test('pages in a real browser', async t => {
  const scene = await openScene(t)
  await t.test('a page of a listed origin reads the headers of errors, and a preflight is asked once', t =>
    testReading(t, scene))
  await t.test('a page of another origin reads nothing, and a request with a token never arrives', t =>
    testUnlisted(t, scene))
  await t.test('the cookie is hidden from scripts, and tabs that refresh at once share it', t => testTabs(t, scene))
  await t.test('a forged logout of a form and of scripts is refused, and the session lives', t =>
    testForgery(t, scene))
  await t.test('a 401 at a refresh leaves the cookie, a login replaces it, and a logout deletes it', t =>
    testLifeOfCookie(t, scene))
  await t.test('a page on another site is told why it cannot use the cookie', t => testOtherSite(t, scene))
  await t.test('the documentation page signs in, refreshes and logs out with the cookie', t => testDocs(t, scene))
  await t.test('the pages work over plain HTTP on a host that is no loopback address', t => testPlainHttp(t, scene))
})

async function testReading (t: Test, { browser, app, service, listed, takeArrivals }: Scene): Promise<void> {
  const page = await openPage(await browser.newContext(), listed)
  const { username } = await register(app)
  takeArrivals()
  const headers = { authorization: 'Bearer x', 'x-request-id': 'one' }
  for (let time = 0; time < 2; time++) {
    const refused = await ask(page, `${service}/me`, { headers })
    t.match(refused, { status: 401, body: { error: 'invalid_token' } })
    t.match(refused.headers, { 'www-authenticate': /^Bearer/, 'x-request-id': 'one' })
  }
  t.same(takeArrivals(), ['OPTIONS /me 204', 'GET /me 401', 'GET /me 401'])
  const wrong = { method: 'POST', headers: { 'content-type': 'application/json' } }
  const body = JSON.stringify({ username, password: 'wrong' })
  t.equal((await ask(page, `${service}/login`, { ...wrong, body })).status, 401)
  const limited = await ask(page, `${service}/login`, { ...wrong, body })
  t.equal(limited.status, 429)
  t.match(limited.headers, { 'retry-after': /^\d+$/, ratelimit: /;r=0/, 'ratelimit-policy': /;q=1;w=900/ })
  const down = await ask(page, `${service}/fail`)
  t.match(down, { status: 503, body: { error: 'service_unavailable' } })
  t.match(down.headers, { 'retry-after': '1', 'x-revocation-check': 'skipped' })
  t.equal((await ask(page, `${service}/login`)).status, 405)
  t.equal((await ask(page, `${service}/nowhere`)).status, 404)
}

async function testUnlisted (t: Test, { browser, service, sibling, foreign, takeArrivals }: Scene): Promise<void> {
  for (const origin of [sibling, foreign]) {
    const page = await openPage(await browser.newContext(), origin)
    takeArrivals()
    t.same(await ask(page, `${service}/health/live`), { unreadable: true }, origin)
    t.same(await ask(page, `${service}/me`, { headers: { authorization: 'Bearer x' } }), { unreadable: true }, origin)
    t.same(await ask(page, `${service}/refresh`, byCookie('POST')), { unreadable: true }, origin)
    t.same(takeArrivals(), ['GET /health/live 200', 'OPTIONS /me 204', 'OPTIONS /refresh 204'], origin)
  }
}

/** Signs in as a new user in a tab of a new browser profile. */
async function signInWithCookie ({ browser, app, service, listed }: Scene) {
  const context = await browser.newContext()
  const page = await openPage(context, listed)
  const credentials = { username: (await register(app)).username, password }
  const login = await ask(page, `${service}/login`, byCookie('POST', credentials))
  return { context, page, credentials, login, token: String(login.body?.['access_token']) }
}

async function testTabs (t: Test, scene: Scene): Promise<void> {
  const { service, listed, gather } = scene
  const { context, page, login } = await signInWithCookie(scene)
  t.equal(login.status, 200)
  t.notOk(login.body && 'refresh_token' in login.body)
  const first = await keptCookie(context)
  t.match(first, { domain: 'localhost', path: '/', httpOnly: true, secure: true, sameSite: 'Strict' })
  const second = await openPage(context, listed)
  const own = await openPage(context, `${service}/health/live`)
  for (const tab of [page, own]) t.equal(await tab.evaluate('document.cookie'), '')
  gather('POST /refresh', 2)
  const answers = await Promise.all([page, second].map(tab => ask(tab, `${service}/refresh`, byCookie('POST'))))
  t.same(answers.map(({ status }) => status), [200, 200])
  const ids = answers.map(({ body }) => String(body?.['access_token']))
  t.equal(new Set(ids).size, 1, 'the same pair')
  t.not((await keptCookie(context))?.value, first?.value)
  t.equal((await ask(second, `${service}/refresh`, byCookie('POST'))).status, 200)
}

async function testForgery (t: Test, scene: Scene): Promise<void> {
  const { service, sibling, foreign, takeArrivals } = scene
  const { context, page } = await signInWithCookie(scene)
  const before = await keptCookie(context)
  takeArrivals()
  for (const origin of [foreign, sibling]) {
    const forger = await openPage(context, origin)
    await ask(forger, `${service}/logout`, { method: 'POST', credentials: 'include', mode: 'no-cors' })
    await ask(forger, `${service}/logout`, byCookie('POST'))
    await forger.evaluate(`document.body.innerHTML = '<form method="post" action="${service}/logout?scope=all">'`)
    await Promise.all([forger.waitForNavigation(), forger.evaluate('document.forms[0].submit()')])
    t.match(await forger.textContent('body'), /authorization_required|unsupported_media_type/)
    t.same(takeArrivals().filter(arrival => / \/logout /.test(arrival)), [
      'POST /logout 401', 'OPTIONS /logout 204', 'POST /logout 401'
    ], origin)
  }
  t.equal((await keptCookie(context))?.value, before?.value, 'the cookie is still there')
  t.equal((await ask(page, `${service}/refresh`, byCookie('POST'))).status, 200, 'the session lives')
}

async function testLifeOfCookie (t: Test, scene: Scene): Promise<void> {
  const { service } = scene
  const { context, page, credentials, token } = await signInWithCookie(scene)
  const headers = { authorization: `Bearer ${token}` }
  const ended = await ask(page, `${service}/logout`, { method: 'POST', headers })
  t.equal(ended.status, 200, 'a bearer client ends the session')
  const before = await keptCookie(context)
  const refused = await ask(page, `${service}/refresh`, byCookie('POST'))
  t.match(refused, { status: 401, body: { error: 'token_revoked' } })
  t.equal((await keptCookie(context))?.value, before?.value)
  const login = await ask(page, `${service}/login`, byCookie('POST', credentials))
  const replaced = await keptCookie(context)
  t.not(replaced?.value, before?.value)
  const again = await ask(page, `${service}/login`, {
    ...byCookie('POST', credentials), headers: { 'content-type': 'application/json' }
  })
  t.type(again.body?.['refresh_token'], 'string', 'a bearer client gets a body')
  t.equal((await keptCookie(context))?.value, replaced?.value, 'and leaves the cookie')
  const out = await ask(page, `${service}/logout`, byCookie('POST', undefined, String(login.body?.['access_token'])))
  t.equal(out.status, 200)
  t.equal(await keptCookie(context), undefined)
  t.match(await ask(page, `${service}/refresh`, byCookie('POST')), {
    status: 401, body: { error: 'authorization_required' }
  })
}

async function testOtherSite (t: Test, { browser, app, service, listedElsewhere }: Scene): Promise<void> {
  const context = await browser.newContext()
  const page = await openPage(context, listedElsewhere)
  const credentials = { username: (await register(app)).username, password }
  const refused = await ask(page, `${service}/login`, byCookie('POST', credentials))
  t.match(refused, { status: 403, body: { error: 'origin_not_allowed', description: /on another site/ } })
  t.equal(await keptCookie(context), undefined)
  const { headers: _, ...request } = byCookie('POST', credentials)
  const bearer = await ask(page, `${service}/login`, { ...request, headers: { 'content-type': 'application/json' } })
  t.type(bearer.body?.['refresh_token'], 'string', 'a bearer client works there')
}

async function testDocs (t: Test, { browser, service }: Scene): Promise<void> {
  const { page, shows, keep } = await openDocs(t, browser, service)
  t.equal((await execute(page, 'auth-refresh')).status, 401)
  await shows(/no session to refresh. Next: execute POST \/login/)
  t.equal((await execute(page, 'try-register')).status, 201)
  const login = await execute(page, 'try-login')
  t.equal(login.status, 200)
  t.notMatch(login.body, 'refresh_token')
  await shows(/Press the button here/)
  await keep('7-cookie-signed-in')
  t.equal((await execute(page, 'auth-refresh')).status, 200)
  await shows(/Refreshed: there is a new access token/)
  await keep('8-cookie-refreshed')
  await page.locator('#next-step button').click()
  t.equal((await execute(page, 'try-getMe')).status, 200)
  t.ok(await keptCookie(page.context()))
  t.equal((await execute(page, 'try-logout')).status, 200)
  await shows(/execute GET \/me again/)
  t.equal(await keptCookie(page.context()), undefined)
  t.equal((await execute(page, 'auth-refresh')).status, 401)
}

async function testPlainHttp (t: Test, { browser, service }: Scene): Promise<void> {
  const address = service.replace('localhost', otherHost)
  const { page, shows } = await openDocs(t, browser, address)
  const problems: string[] = []
  page.on('console', message => { if (message.type() === 'error') problems.push(message.text()) })
  page.on('requestfailed', request => { problems.push(request.url()) })
  await page.reload()
  await page.locator('.opblock').first().waitFor()
  await page.goto(address)
  await until('the start page is shown', async () => /signout/.test(await page.title()))
  t.same(problems, [], 'nothing is blocked')
  await page.goBack()
  t.equal((await execute(page, 'try-login')).status, 403)
  await shows(/another address than ISSUER/)
}
