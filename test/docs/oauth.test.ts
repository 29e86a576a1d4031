import { join } from 'node:path'
import t from 'tap'
import { describeOAuthError, oauthErrorCodes } from '../../src/oauth/oauth-error.ts'
import { packageRoot } from '../../src/package-root.ts'
import { scratchFolder, serversEnv } from '../support/app.ts'
import { startServer } from '../support/server-process.ts'
import { read, runSteps, stepsOf } from './markdown.ts'

t.test('the commands of docs/oauth.md get the answers that it shows', async t => {
  const env = await serversEnv(t)
  const { address } = await startServer(t, env)
  const settings = Object.entries(env).map(([name, value]) => `${name}='${value}'`).join(' ')
  const steps = stepsOf(read('docs/oauth.md'))
  t.ok(steps.length >= 10)
  runSteps(t, steps, command => command
    .replace('http://127.0.0.1:3000', address)
    .replace('npx signout', `env ${settings} ${process.execPath} ${join(packageRoot, 'dist/src/cli.js')}`),
  scratchFolder(t))
})

t.test('docs/oauth.md lists every error code below /oauth/ with its status', async t => {
  const [, table = ''] = read('docs/oauth.md').split('## Errors\n')
  const rows = [...table.matchAll(/^\| (\d{3}) \| `(\w+)` \|/gm)].map(([, status, code]) => `${status} ${code}`)
  t.same(rows, oauthErrorCodes.map(code => `${describeOAuthError(code).statusCode} ${code}`))
})
