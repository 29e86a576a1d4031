import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { transformSync } from 'esbuild'
import type { Test } from 'tap'
import { packageRoot } from '../../src/package-root.ts'
import { scratchFolder } from '../support/app.ts'
import { redisUrl, scratchPrefix } from '../support/services.ts'

/** The plugin, as an app imports it. */
export const plugin = JSON.stringify(pathToFileURL(join(packageRoot, 'dist', 'plugins', 'auth', 'auth.js')).href)

/** Runs the app of a page, in TypeScript. It must accept a token until its logout. */
export function expectLogout (t: Test, code: string, name = 'the app'): void {
  const file = join(scratchFolder(t), 'app.mjs')
  writeFileSync(file, transformSync(code.replace('my-app:', scratchPrefix(t)), { loader: 'ts' }).code)
  const program = join(packageRoot, '.build', 'test', 'docs', 'ask-thrice.js')
  const { stdout, stderr, status } = spawnSync(process.execPath, [program, pathToFileURL(file).href], {
    encoding: 'utf8', timeout: 120_000, env: { PATH: process.env['PATH'], REDIS_URL: redisUrl() }
  })
  t.equal(status, 0, `${name}: ${stderr}`)
  t.equal(stdout.trim(), '[200,200,401]', name)
}
