import { pathToFileURL } from 'node:url'
import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import type { Report } from '../../scripts/load/report.ts'
import { openBrowser } from './browser.ts'

/**
 * Asserts that a browser draws the plots, in the light and in the dark, on a laptop and on a phone, without any other
 * request.
 */
export async function expectDrawn (t: Test, htmlFile: string, { timeline }: Report): Promise<void> {
  // A line needs two points. On a busy machine, all logouts may be checked within a second, or after the load.
  const checked = timeline.filter(({ checks }) => Object.values(checks).some(count => count > 0))
  const isDrawn = (id: string, colors: number) => colors > 2 || (id === 'checks' && checked.length < 2)
  const browser = await openBrowser(t)
  const url = pathToFileURL(htmlFile).href
  for (const [width, colorScheme] of [[1280, 'light'], [390, 'dark']] as const) {
    const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme })
    const complaints: string[] = []
    const requests: string[] = []
    page.on('console', message => complaints.push(message.text()))
    page.on('pageerror', error => complaints.push(String(error)))
    page.on('request', request => requests.push(request.url()))
    await page.goto(url)
    const plots = await inkOf(page)
    t.same(Object.keys(plots), ['throughput', 'latency', 'distribution', 'statuses', 'checks'])
    for (const [id, colors] of Object.entries(plots)) t.ok(isDrawn(id, colors), `${id}: ${colors} colours of lines`)
    t.same(complaints, [])
    t.same(requests, [url], 'the file asks for no other')
    t.ok(await page.evaluate('document.documentElement.scrollWidth') as number <= width, `it fits into ${width} pixels`)
    t.match(await page.textContent('.verdict'), /^0 violations of /)
    await page.close()
  }
}

/**
 * Returns the number of saturated colours on the canvas of each plot. Axes and grid are grey. A line has several
 * colours, at its edges.
 */
async function inkOf (page: Page): Promise<Record<string, number>> {
  await page.waitForSelector('#checks canvas')
  return await page.evaluate(`Object.fromEntries([...document.querySelectorAll('.plot')].map(plot => {
    const canvas = plot.querySelector('canvas')
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    const colors = new Set()
    for (let at = 0; at < data.length; at += 4) {
      const [r, g, b, a] = data.subarray(at, at + 4)
      if (a === 255 && Math.max(r, g, b) - Math.min(r, g, b) > 60) colors.add([r, g, b].join())
    }
    return [plot.id, colors.size]
  }))`)
}
