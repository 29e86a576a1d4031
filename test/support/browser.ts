import { join } from 'node:path'
import { chromium, type Browser } from 'playwright-core'
import { findChromium } from '../../scripts/services/chromium.ts'
import { packageRoot } from '../../src/package-root.ts'
import type { Owner } from './teardown.ts'

/** Arguments to run without a display, as root, and without asking any host for updates. */
const args = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'
]

/**
 * Starts a headless Chromium, which is closed when the test ends.
 *
 * @param further arguments beside the usual ones
 */
export async function openBrowser (t: Owner, further: string[] = []): Promise<Browser> {
  const executablePath = findChromium()
  if (executablePath === undefined) {
    throw new Error('This test needs a Chromium: run `npm run services`, or name one in CHROMIUM.')
  }
  const browser = await chromium.launch({ executablePath, args: [...args, ...further], timeout: 60_000 })
  t.teardown(() => browser.close())
  return browser
}

/** Returns the file of a screenshot, in a folder that git ignores. Look at them after a change of a page. */
export function screenshotFile (name: string): string {
  return join(packageRoot, 'screenshots', `${name}.png`)
}
