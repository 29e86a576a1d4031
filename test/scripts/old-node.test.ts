import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../src/package-root.ts'
import { oldestNode } from '../../src/process/node-version.ts'
import { scratchFolder } from '../support/app.ts'
import { compiledFile } from '../support/server-process.ts'
import { undisturbed } from '../support/undisturbed.ts'

/** The entry points that people run. */
const programs = [compiledFile('server.js'), compiledFile('cli.js'), join(packageRoot, 'scripts', 'build.js')]

t.test('a Node that is too old gets one line, from each program', async t => {
  const cwd = scratchFolder(t)
  for (const program of programs) {
    for (const old of ['18.20.8', '20.18.3']) {
      const pretends = `Object.defineProperty(process.versions, 'node', { value: '${old}' })`
      const args = [`--import=data:text/javascript,${encodeURIComponent(pretends)}`, program, '--help']
      const { status, stdout, stderr } = spawnSync(...undisturbed(process.execPath, args), {
        cwd, encoding: 'utf8', timeout: 30_000
      })
      t.same([status, stdout, stderr], [
        1, '', `signout needs Node 20.19 or newer, and this is Node ${old}: install a newer one (nodejs.org).\n`
      ], program)
    }
  }
})

t.test('the programs and the package name the same oldest Node', async t => {
  const { engines } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8'))
  t.equal(engines.node, `>=${oldestNode.join('.')}`)
})
