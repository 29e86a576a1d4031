import type { Browser, Page } from 'playwright-core'
import type { Test } from 'tap'
import { screenshotFile } from './browser.ts'

/** Longer than anything takes on a busy machine. */
export const patienceMs = 60_000

/** Opens an operation, presses Execute and returns the answer that the page shows. */
export async function execute (page: Page, name: string): Promise<{ status: number, body: string }> {
  const block = page.locator(`#operations-${name}`)
  if (!/is-open/.test(await block.getAttribute('class') ?? '')) await block.locator('.opblock-summary-control').click()
  const clear = block.locator('.btn-clear')
  if (await clear.count() > 0) await clear.click()
  await block.locator('.execute').click()
  const answer = block.locator('.live-responses-table .response')
  await answer.waitFor()
  const body = answer.locator('.highlight-code code')
  return {
    status: Number.parseInt(await answer.locator('.response-col_status').innerText()),
    body: await body.count() === 0 ? '' : await body.first().innerText()
  }
}

/** Opens the documentation page of a service, and returns it with the sentence that it shows about the next step. */
export async function openDocs (t: Test, browser: Browser, address: string) {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage()
  page.setDefaultTimeout(patienceMs)
  page.on('console', message => { t.notMatch(message.text(), /Content Security Policy/) })
  page.on('pageerror', error => { t.fail(error.message) })
  await page.goto(`${address}/docs`)
  await page.locator('.opblock').first().waitFor()
  const shows = async (text: RegExp) => { await page.locator('#next-step', { hasText: text }).waitFor() }
  const keep = (name: string) => page.screenshot({ path: screenshotFile(`docs-${name}`) })
  return { page, shows, keep }
}
