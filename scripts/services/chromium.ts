import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { findProgramFolder } from './programs.ts'

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const apps = [
  '/Applications/Chromium.app/Contents/MacOS/Chromium', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'
]

/** Returns the path of a Chromium: the one that CHROMIUM names, or an installed one. Returns undefined without one. */
export function findChromium (): string | undefined {
  const named = process.env['CHROMIUM']
  if (named !== undefined && named !== '') return named
  for (const name of names) {
    const folder = findProgramFolder(name)
    if (folder !== undefined) return join(folder, name)
  }
  return apps.find(existsSync)
}
