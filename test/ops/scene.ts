import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'
import { findPromtool } from '../../scripts/services/promtool.ts'
import { packageRoot } from '../../src/package-root.ts'
import { build, serversEnv } from '../support/app.ts'
import { signUp } from '../support/people.ts'
import { get, logOut, refresh } from '../support/requests.ts'
import { until } from '../support/wait.ts'
import { samplesOf, type KnownSamples } from './expressions.ts'

/** Returns the path of a file below `ops`. */
export const inOps = (...path: string[]) => join(packageRoot, 'ops', ...path)

/** Runs promtool, and returns its status and its output. Throws if it is not installed. */
export function runPromtool (...args: string[]): { status: number | null, output: string } {
  const promtool = findPromtool()
  if (promtool === undefined) throw new Error('promtool is missing: run npm run services, which installs it.')
  const { status, stdout, stderr } = spawnSync(promtool, args, { encoding: 'utf8', timeout: 60_000 })
  return { status, output: `${stdout}${stderr}` }
}

/** Returns the samples of a real scrape, after requests of a user, a scrape and a health check. */
export async function scrapeReal (t: Test): Promise<KnownSamples> {
  const token = 'a-token-for-those-who-scrape'
  const app = await build(t, { ...await serversEnv(t), METRICS_TOKEN: token })
  const { pair } = await signUp(app)
  await get(app, '/token', pair.access_token)
  await refresh(app, pair.refresh_token)
  await logOut(app, pair.access_token)
  for (const path of ['/health/live', '/health/ready']) await get(app, path)
  await get(app, '/metrics', token)
  let known = samplesOf(await app.metrics.scrape())
  await until('the record was compared with Redis', async () => {
    known = samplesOf(await app.metrics.scrape())
    return known.has('signout_blocklist_positions_behind') && known.has('signout_clock_ahead_seconds')
  })
  return known
}
