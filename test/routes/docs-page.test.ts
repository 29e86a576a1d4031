import type { Page } from 'playwright-core'
import t from 'tap'
import { build, serversEnv } from '../support/app.ts'
import { openBrowser } from '../support/browser.ts'
import type { Pair } from '../support/people.ts'
import { expectError, get } from '../support/requests.ts'

/** Longer than anything takes on a busy machine. */
const patienceMs = 60_000

/** Opens all operations at once: each change of the page takes half a second. Returns the bodies that are filled in. */
async function openAll (page: Page): Promise<Record<string, unknown>> {
  await page.evaluate(
    "document.querySelectorAll('.opblock:not(.is-open) .opblock-summary-control').forEach(control => control.click())"
  )
  await page.waitForFunction(
    "[...document.querySelectorAll('.opblock')].every(block => block.querySelector('.execute') !== null)"
  )
  const bodies = await page.evaluate(`[...document.querySelectorAll('.opblock')]
    .map(block => [block.id, block.querySelector('textarea.body-param__text')?.value])`) as Array<[string, string?]>
  return Object.fromEntries(bodies.flatMap(([id, body]) =>
    body === undefined ? [] : [[id.replace('operations-', ''), JSON.parse(body)]]
  ))
}

/** Opens an operation, presses Execute and returns the answer that the page shows. */
async function execute (page: Page, name: string): Promise<{ status: number, body: string }> {
  const block = page.locator(`#operations-${name}`)
  await block.locator('.opblock-summary-control').click()
  await block.locator('.execute').click()
  const answer = block.locator('.live-responses-table .response')
  await answer.waitFor()
  const body = answer.locator('.highlight-code code')
  return {
    status: Number.parseInt(await answer.locator('.response-col_status').innerText()),
    body: await body.count() === 0 ? '' : await body.first().innerText()
  }
}

async function authorize (page: Page, token: string): Promise<void> {
  await page.locator('.auth-wrapper .authorize').first().click()
  await page.locator('.modal-ux input').fill(token)
  await page.locator('.modal-ux .modal-btn.authorize').click()
  await page.locator('.modal-ux .btn-done').click()
}

/** The bodies that the page offers to send. */
const credentials = { username: 'ada@example.com', password: 'correct horse battery staple' }
const exampleBodies = {
  'auth-register': credentials,
  'auth-login': credentials,
  'auth-refresh': { refresh_token: '<refresh_token of POST /login>' },
  'auth-logout': {},
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

t.test('the documentation page works without edits of JSON, including the logout', async t => {
  const app = await build(t, await serversEnv(t))
  const address = await app.listen({ port: 0 })
  const page = await (await openBrowser(t)).newPage()
  page.setDefaultTimeout(patienceMs)
  await page.goto(`${address}/docs`)
  await page.locator('.opblock').first().waitFor()

  t.equal((await execute(page, 'auth-register')).status, 201)
  const login = await execute(page, 'auth-login')
  t.equal(login.status, 200)
  const { access_token: token } = JSON.parse(login.body) as Pair
  await authorize(page, token)
  t.equal((await get(app, '/token', token)).statusCode, 200)
  const { status, body } = await execute(page, 'auth-logout')
  t.equal(status, 200, body)
  expectError(t, await get(app, '/token', token), 401, 'token_revoked')
  t.same(await openAll(page), exampleBodies, 'each example works, or has to be replaced and looks so')
})
