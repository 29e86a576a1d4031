import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { findFreePort } from '../../scripts/services/programs.ts'
import type { ServiceDescription } from '../../src/schemas/schemas.ts'
import { version } from '../../src/package-root.ts'
import { build, serversEnv } from '../support/app.ts'
import { openBrowser, screenshotFile } from '../support/browser.ts'
import { get, send } from '../support/requests.ts'

const browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'

t.test('GET / answers HTML only if Accept prefers it, and JSON otherwise', async t => {
  const app = await build(t, await serversEnv(t))
  for (const [accept, type] of [
    [browser, 'text/html'], ['text/html', 'text/html'], ['text/*', 'text/html'], ['TEXT/HTML; q=1', 'text/html'],
    ['application/json;q=0.5, text/html;q=0.6', 'text/html'], ['text/html, application/json;q=0', 'text/html'],
    [undefined, 'application/json'], ['', 'application/json'], ['*/*', 'application/json'],
    ['application/json', 'application/json'], ['text/html, application/json', 'application/json'],
    ['text/html;q=0.5, application/json', 'application/json'], ['text/html;q=0, */*', 'application/json'],
    ['image/png', 'application/json'], ['text/html;q=x', 'application/json']
  ] as const) {
    const answer = await send(app, 'GET /', { headers: accept === undefined ? {} : { accept } })
    t.equal(answer.statusCode, 200)
    t.equal(answer.headers['content-type'], `${type}; charset=utf-8`, String(accept))
    t.equal(answer.headers.vary, 'Accept', String(accept))
    t.equal(answer.headers['cache-control'], 'no-store', String(accept))
  }
})

t.test('GET / gives a program name, version, readiness, links that work, and how to try a logout', async t => {
  const app = await build(t, await serversEnv(t))
  const answer = (await get(app, '/')).json() as ServiceDescription
  t.match(answer, { name: 'signout', version, ready: true, readiness: 'Requests can be answered.' })
  t.same(Object.keys(answer.links).sort(), ['docs', 'keys', 'openapi', 'readiness'])
  for (const path of Object.values(answer.links)) t.equal((await get(app, path)).statusCode, 200, path)
  t.equal(answer.try_a_logout.length, 5)
})

t.test('GET / says what is not ready, as /health/ready does, and is 200 all the same', async t => {
  const app = await build(t, await serversEnv(t))
  await app.database.close()
  const ready = await get(app, '/health/ready')
  t.equal(ready.statusCode, 503)
  const answer = await get(app, '/')
  t.equal(answer.statusCode, 200)
  t.match(answer.json(), { ready: false, readiness: ready.json().description })
  t.match((await send(app, 'GET /', { headers: { accept: browser } })).body, 'Not ready: database.')
})

t.test('the commands of GET / show a logout when a shell runs them', async t => {
  const port = await findFreePort()
  const app = await build(t, { ...await serversEnv(t), ISSUER: `http://127.0.0.1:${port}` })
  await app.listen({ port })
  const { try_a_logout: steps } = (await get(app, '/')).json() as ServiceDescription
  const script = steps.map(({ run }) => run.replace(/^curl /, 'curl -s -w "\\n%{http_code}\\n" ')).join('\n')
  const { stdout } = await promisify(execFile)('sh', ['-c', script], { timeout: 60_000 })
  const lines = stdout.trim().split('\n')
  t.same(lines.filter(line => /^\d{3}$/.test(line)), ['201', '200', '200', '401'])
  t.match(lines.at(-2), 'token_revoked')
})

t.test('the page of GET / needs no script, loads nothing, and is readable in light and dark', async t => {
  const app = await build(t, { ...await serversEnv(t), ISSUER: 'https://a.example/<b>"\'&' })
  const { body, headers } = await send(app, 'GET /', { headers: { accept: browser } })
  t.match(headers['content-security-policy'], /^default-src 'none';style-src 'sha256-[^']+';img-src data:;/)
  t.notMatch(body, /<script|<b>|src=|url\(/)
  t.ok(body.length < 6_000, `${body.length} characters`)
  const address = await app.listen({ port: 0 })
  const chromium = await openBrowser(t)
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await (await chromium.newContext({ colorScheme, javaScriptEnabled: true })).newPage()
    const problems: string[] = []
    const requests: string[] = []
    page.on('console', message => { problems.push(message.text()) })
    page.on('request', request => { requests.push(request.url()) })
    await page.goto(address)
    t.same(problems, [], 'the policy admits the style')
    t.same(requests.filter(url => !url.startsWith('data:')), [`${address}/`])
    t.equal(await page.title(), 'signout')
    const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor')
    t.equal(ground, colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(15, 20, 25)')
    await page.screenshot({ path: screenshotFile(`start-${colorScheme}`), fullPage: true })
  }
})

t.test('DOCS=off removes the documentation page, and the link to it', async t => {
  const app = await build(t, { ...await serversEnv(t), DOCS: 'off' })
  for (const path of ['/docs', '/docs/', '/docs/json', '/docs/static/swagger-ui.css']) {
    t.equal((await get(app, path)).statusCode, 404, path)
  }
  t.equal((await get(app, '/openapi.json')).statusCode, 200)
  t.same(Object.keys((await get(app, '/')).json().links).sort(), ['keys', 'openapi', 'readiness'])
  t.notMatch((await send(app, 'GET /', { headers: { accept: browser } })).body, 'href="docs"')
})
