import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page, Request } from 'playwright-core'
import t, { type Test } from 'tap'
import { findFreePort } from '../../scripts/services/programs.ts'
import { packageRoot } from '../../src/package-root.ts'
import { scratchFolder, type Env } from '../support/app.ts'
import { blocks, read } from '../docs/markdown.ts'
import { openBrowser, screenshotFile } from '../support/browser.ts'
import { password, register } from '../support/people.ts'
import { send } from '../support/requests.ts'
import { randomName } from '../support/services.ts'
import { undisturbed } from '../support/undisturbed.ts'
import { until } from '../support/wait.ts'
import { startService, type StoredPair } from './setup.ts'

/** Longer than anything takes on a busy machine. */
const patienceMs = 60_000
const browser = await openBrowser(t)

/** Starts the example in a folder of its own, as after `npm install`, at the port. */
async function startExample (t: Test, port: number, env: Env): Promise<string> {
  const folder = join(scratchFolder(t), 'single-page-app')
  const modules = join(folder, 'node_modules')
  cpSync(join(packageRoot, 'examples', 'single-page-app'), folder, { recursive: true })
  mkdirSync(join(modules, 'signout-client'), { recursive: true })
  cpSync(join(packageRoot, 'dist', 'client', 'index.js'), join(modules, 'signout-client', 'index.js'))
  cpSync(join(packageRoot, 'client', 'package', 'package.json'), join(modules, 'signout-client', 'package.json'))
  symlinkSync(join(packageRoot, 'node_modules', 'fastify'), join(modules, 'fastify'))
  const child = spawn(...undisturbed(process.execPath, ['server.js']), {
    cwd: folder, env: { PATH: process.env['PATH'], PORT: String(port), ...env }, stdio: ['ignore', 'pipe', 'inherit']
  })
  t.teardown(() => child.kill())
  let output = ''
  child.stdout.on('data', (data: Buffer) => { output += data.toString() })
  await until('the page is served', () => output.includes('The page is at'), patienceMs)
  return `http://127.0.0.1:${port}`
}

// The service and the page are on two origins.
const port = await findFreePort(2)
const origins = [port, port + 1].map(port => `http://127.0.0.1:${port}`)
const service = await startService(t, { CORS_ORIGINS: origins.join(), COOKIES: 'on' })
const url = await startExample(t, port, { SIGNOUT_URL: service.address })

/** Opens a profile of a browser, of which all tabs share storage and cookies. */
async function openProfile (t: Test, browser: Browser): Promise<BrowserContext> {
  const context = await browser.newContext({ viewport: { width: 900, height: 700 } })
  context.setDefaultTimeout(patienceMs)
  t.teardown(() => context.close())
  return context
}

async function openTab (t: Test, context: BrowserContext): Promise<Page> {
  const page = await context.newPage()
  page.on('pageerror', error => { t.fail(error.message) })
  page.on('console', message => { t.notMatch(message.text(), /Content Security Policy|CORS/) })
  await page.goto(url)
  await page.locator('#login:visible, #account:visible').waitFor()
  return page
}

async function signIn (page: Page, username: string, button: 'Sign in' | 'Create an account'): Promise<void> {
  await page.getByLabel('Username').fill(username)
  await page.locator('#login').getByLabel('Password').fill(password)
  await page.getByRole('button', { name: button }).click()
  await page.locator('#account:visible').waitFor()
}

const formIn = (page: Page) => page.locator('#login:visible').waitFor()
const messageIn = (page: Page, text: string) => page.getByRole('status').filter({ hasText: text }).waitFor()

t.test('the example: two tabs share a sign-in and a sign-out, and no script can read the refresh token', async t => {
  const context = await openProfile(t, browser)
  const [first, second] = [await openTab(t, context), await openTab(t, context)]
  await first.screenshot({ path: screenshotFile('single-page-app-login') })
  const username = `user-${randomName()}`
  await signIn(first, username, 'Create an account')
  await second.locator('#account:visible').waitFor()
  t.equal(await second.locator('#username').textContent(), username)
  t.equal(await first.locator('#sessions li').count(), 1)
  await first.screenshot({ path: screenshotFile('single-page-app-sessions') })
  const stored = String(await first.evaluate("localStorage.getItem('signout:pair') + document.cookie"))
  t.match(stored, /"access":"ey/)
  t.notMatch(stored, /refresh/)
  const cookie = { name: '__Host-signout-refresh', httpOnly: true, sameSite: 'Strict' }
  t.match(await context.cookies(service.address), [cookie])
  await second.getByRole('button', { name: 'Log out', exact: true }).click()
  await messageIn(second, 'You are signed out, here and at the server.')
  await formIn(first)
  await messageIn(first, 'You are signed out.')
  t.same(await context.cookies(service.address), [], 'the cookie is deleted')
  await first.reload()
  await formIn(first)
  await signIn(first, username, 'Sign in')
  await second.locator('#account:visible').waitFor()
  await first.evaluate("localStorage.setItem('signout:pair', '{}')")
  await first.reload()
  await first.locator('#account:visible').waitFor()
  t.pass('the cookie continues the session')
})

t.test('the example: logging out without a connection signs out at once, and the server follows', async t => {
  const context = await openProfile(t, browser)
  const page = await openTab(t, context)
  await signIn(page, `user-${randomName()}`, 'Create an account')
  const stored = String(await page.evaluate("localStorage.getItem('signout:pair')"))
  const { access } = JSON.parse(stored) as StoredPair
  await context.setOffline(true)
  await page.getByRole('button', { name: 'Log out', exact: true }).click()
  await messageIn(page, 'The server follows as soon as there is a connection.')
  await formIn(page)
  await page.screenshot({ path: screenshotFile('single-page-app-offline') })
  t.equal((await send(service.app, 'GET /me', { token: access })).statusCode, 200)
  await context.setOffline(false)
  await messageIn(page, 'You are signed out, here and at the server.')
  t.equal((await send(service.app, 'GET /me', { token: access })).statusCode, 401)
  t.same(await context.cookies(service.address), [])
})

t.test('the example: logging out everywhere ends the sessions of another browser, which learns it', async t => {
  const [here, there] = [await openProfile(t, browser), await openProfile(t, browser)]
  const [page, other] = [await openTab(t, here), await openTab(t, there)]
  const username = `user-${randomName()}`
  await signIn(page, username, 'Create an account')
  await signIn(other, username, 'Sign in')
  await other.getByRole('button', { name: 'Log out everywhere' }).click()
  await formIn(other)
  t.equal(await page.locator('#account:visible').count(), 1, 'the service does not call its clients')
  await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
  await messageIn(page, 'Your session was ended on another device.')
  await formIn(page)
  await page.screenshot({ path: screenshotFile('single-page-app-ended') })
})

/**
 * Signs in, and lets the tabs send ten requests each with an access token that is refused. Returns how often they
 * refreshed.
 */
async function countRefreshes (tabs: Page[], username: string, credentials: 'bearer' | 'cookie'): Promise<number> {
  let count = 0
  const watch = (request: Request) => {
    if (request.method() === 'POST' && request.url().endsWith('/refresh')) count++
  }
  for (const page of tabs) page.on('request', watch)
  const withClient = (page: Page | undefined, work: string) => page?.evaluate(`(async () => {
    const { createClient, webStorage } = await import('/signout-client.js')
    const storage = webStorage(() => localStorage)
    const options = { baseUrl: '${service.address}', credentials: '${credentials}', storage, name: 'test' }
    const client = createClient(options)
    ${work}
    client.close()
  })()`)
  await withClient(tabs[0], `
    await client.signIn({ username: '${username}', password: '${password}' })
    const pair = JSON.parse(storage.get('test:pair'))
    storage.set('test:pair', JSON.stringify({ ...pair, access: 'refused' }))`)
  const twenty = "await Promise.all(Array.from({ length: 10 }, () => client.request('GET /me')))"
  await Promise.all(tabs.map(page => withClient(page, twenty)))
  for (const page of tabs) page.off('request', watch)
  return count
}

t.test('the page of the README shows in two tabs whether the user is signed in', async t => {
  const [html = ''] = blocks(read('client/package/README.md'), 'html')
  await send(service.app, 'POST /register', { body: { username: 'ada', password } })
  const context = await openProfile(t, browser)
  const page = html.replace('http://127.0.0.1:3000', service.address)
  const client = readFileSync(join(packageRoot, 'dist', 'client', 'index.js'))
  const server = createServer(({ url }, response) => {
    const isScript = url === '/node_modules/signout-client/index.js'
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html').end(isScript ? client : page)
  })
  await new Promise<void>(resolve => { server.listen(port + 1, '127.0.0.1', resolve) })
  t.teardown(() => { server.close().closeAllConnections() })
  const tabs = [await context.newPage(), await context.newPage()]
  for (const page of tabs) {
    page.on('pageerror', error => { t.fail(error.message) })
    await page.goto(String(origins[1]))
  }
  const expectState = (text: string) => Promise.all(tabs.map(page => page.getByText(text).waitFor()))
  await expectState('You are signed out.')
  await tabs[0]?.getByRole('button', { name: 'Sign in' }).click()
  await expectState('You are signed in.')
  await tabs[1]?.getByRole('button', { name: 'Sign out' }).click()
  await expectState('You are signed out.')
  t.pass('both show the same')
})

for (const hasLocks of [true, false]) {
  t.test(`two tabs with twenty refused requests refresh once, ${hasLocks ? 'with' : 'without'} Web Locks`, async t => {
    const context = await openProfile(t, browser)
    if (!hasLocks) await context.addInitScript('delete Navigator.prototype.locks')
    const tabs = [await openTab(t, context), await openTab(t, context)]
    t.equal(await tabs[0]?.evaluate("'locks' in navigator"), hasLocks)
    const { username } = await register(service.app)
    for (const credentials of ['cookie', 'bearer'] as const) {
      // A busy browser may show a tab late what the other has stored. Then it refreshes too, and both stay signed in.
      const counts: number[] = []
      while (!counts.includes(1) && counts.length < 5) counts.push(await countRefreshes(tabs, username, credentials))
      t.ok(counts.includes(1) && Math.max(...counts) <= 2, `${credentials}: ${counts.join()} refreshes`)
    }
  })
}
