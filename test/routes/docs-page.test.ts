import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { build, serversEnv } from '../support/app.ts'
import { openBrowser, screenshotFile } from '../support/browser.ts'
import { execute, openDocs, patienceMs } from '../support/docs-page.ts'
import type { Pair } from '../support/people.ts'
import { until } from '../support/wait.ts'

/** Opens each operation that can have a body. Returns the bodies that are filled in. */
async function readBodies (page: Page): Promise<Record<string, unknown>> {
  // The clicks of Playwright wait for the page after each one, which takes a second.
  await page.evaluate(
    `document.querySelectorAll('${writes}:not(.is-open) .opblock-summary-control').forEach(button => button.click())`
  )
  const blocks = await page.locator(writes).all()
  const buttons = page.locator(`${writes} .execute`)
  await until('all are open', async () => await buttons.count() === blocks.length, patienceMs)
  const bodies: Record<string, unknown> = {}
  for (const block of blocks) {
    const body = block.locator('textarea.body-param__text')
    const id = String(await block.getAttribute('id')).replace('operations-', '')
    if (await body.count() > 0) bodies[id] = JSON.parse(await body.inputValue())
  }
  return bodies
}

/** The operations that are not GET. */
const writes = '.opblock:not(.opblock-get)'

async function authorize (page: Page, token: string): Promise<void> {
  await page.locator('.auth-wrapper .authorize').first().click()
  await page.locator('.modal-ux input').fill(token)
  await page.locator('.modal-ux .modal-btn.authorize').click()
  await page.locator('.modal-ux .btn-done').click()
}

/** The bodies that the page offers to send. */
const credentials = { username: 'ada@example.com', password: 'correct horse battery staple' }
const exampleBodies = {
  'try-register': credentials,
  'try-login': credentials,
  'auth-refresh': { refresh_token: '<refresh_token of POST /login>' },
  'try-logout': {},
  'auth-reauthenticate': { password: credentials.password },
  'me-deleteMe': { password: credentials.password },
  'me-changePassword': {
    current_password: credentials.password, new_password: 'another correct horse battery staple'
  },
  'administration-setRole': { role: 'user' },
  'administration-setStatus': { status: 'active' },
  'administration-revoke': { sid: '00000000-0000-0000-0000-000000000000' },
  'administration-retireKey': { compromised: false }
}

type OpenedPage = Awaited<ReturnType<typeof openDocs>>

t.test('the documentation page leads a person from registering to the 401 after the logout', async t => {
  const app = await build(t, await serversEnv(t))
  const address = await app.listen({ port: 0 })
  const opened = await openDocs(t, await openBrowser(t), address)
  const { page, shows, keep } = opened
  await keep('1-start')
  const ids = await page.evaluate("[...document.querySelectorAll('.opblock')].slice(0, 4).map(block => block.id)")
  t.same(ids, ['register', 'login', 'getMe', 'logout'].map(name => `operations-try-${name}`), 'the steps come first')
  await shows(/execute POST \/register/)
  t.equal((await execute(page, 'try-getMe')).status, 401)
  await shows(/GET \/me needs a token/)
  // To open the page is what takes longest, so one page serves all.
  await t.test('a person copies the token', t => testCopying(t, opened))
  await t.test('the button authorizes with the token of the login, also in dark mode', t => testButton(t, opened))
  await t.test('the examples of an error are those of its status', t => testErrorExamples(t, opened))
  await t.test('each example body works, or has to be replaced and looks so', async t => {
    t.same(await readBodies(page), exampleBodies)
  })
})

async function testCopying (t: Test, { page, shows, keep }: OpenedPage): Promise<void> {
  t.equal((await execute(page, 'try-register')).status, 201)
  await shows(/Registered. Next: execute POST \/login/)
  await keep('2-registered')
  t.equal((await execute(page, 'try-register')).status, 409)
  await shows(/This user exists already/)
  const login = await execute(page, 'try-login')
  t.equal(login.status, 200)
  await shows(/copy access_token, press Authorize/)
  await keep('3-signed-in')
  await authorize(page, (JSON.parse(login.body) as Pair).access_token)
  t.equal((await execute(page, 'try-getMe')).status, 200)
  await shows(/execute POST \/logout/)
  t.equal((await execute(page, 'try-logout')).status, 200)
  await shows(/execute GET \/me again/)
  const after = await execute(page, 'try-getMe')
  t.equal(after.status, 401)
  t.match(after.body, 'token_revoked')
  await shows(/The token is refused, on every replica/)
  await keep('4-logged-out')
}

async function testButton (t: Test, { page, shows, keep }: OpenedPage): Promise<void> {
  const ground = () => page.evaluate('getComputedStyle(document.body).backgroundColor')
  t.not(await ground(), 'rgb(28, 32, 34)')
  await page.emulateMedia({ colorScheme: 'dark' })
  t.equal(await ground(), 'rgb(28, 32, 34)', 'the page follows the system')
  t.equal((await execute(page, 'try-login')).status, 200)
  await shows(/Press the button here/)
  await keep('5-dark-signed-in')
  await page.locator('#next-step button').click()
  await shows(/execute GET \/me/)
  t.equal((await execute(page, 'try-getMe')).status, 200)
  await keep('6-dark-authorized')
  const texts = "[...document.querySelectorAll('.swagger-ui td')].map(cell => getComputedStyle(cell).color)"
  t.same((await page.evaluate(texts) as string[]).filter(color => color === 'rgb(59, 65, 81)'), [], 'no dark text')
}

async function testErrorExamples (t: Test, { page }: OpenedPage): Promise<void> {
  for (const [status, codes] of [
    ['401', ['authorization_required', 'invalid_token', 'token_expired', 'token_revoked']],
    ['503', ['revocation_unavailable', 'key_unavailable', 'service_unavailable']], ['500', ['internal_error']]
  ] as const) {
    const response = page.locator(`#operations-try-getMe .responses-table tr.response[data-code="${status}"]`)
    t.match(await response.locator('.example code').first().innerText(), `"error": "${codes[0]}"`, status)
    await response.screenshot({ path: screenshotFile(`docs-error-${status}`) })
    if (codes.length > 1) t.same(await response.locator('.examples-select option').allInnerTexts(), codes, status)
  }
}
