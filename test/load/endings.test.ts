import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import pg from 'pg'
import t from 'tap'
import { exitCodes, outcomeOf } from '../../scripts/load/outcome.ts'
import { outliveReaders } from '../../scripts/load/output.ts'
import { startOwnDeployment } from '../../scripts/load/own-deployment.ts'
import { profileNames } from '../../scripts/load/profiles.ts'
import { scratchFolder, build, serversEnv } from '../support/app.ts'
import { listen, readReports, sampleReport, startLoad } from '../support/load.ts'
import { inTerminal } from '../support/terminal.ts'
import { until } from '../support/wait.ts'

t.test('a closed terminal and a closed pipe end the writing, and nothing else', async t => {
  for (const code of ['EIO', 'EPIPE']) {
    let tries = 0
    const stream = new Writable({
      write (_chunk, _encoding, done) {
        tries++
        done(Object.assign(new Error(`write ${code}`), { code }))
      }
    })
    outliveReaders(stream)
    for (let line = 0; line < 3; line++) {
      stream.write('a line\n')
      await new Promise(resolve => setImmediate(resolve))
    }
    t.equal(tries, 1, `${code} is met once`)
  }
})

t.test('the exit code is 1 if a revoked token was accepted, and 2 if the run has shown nothing', async t => {
  const sample = sampleReport()
  const ending = (revocation: object, totals = {}) =>
    outcomeOf({
      ...sample, totals: { ...sample.totals, ...totals }, revocation: { ...sample.revocation, ...revocation }
    })
  t.same(ending({}), { exitCode: 0 })
  t.same(ending({ refusedEverywhere: 1 }), { exitCode: 0 }, 'one of two was shown to be refused')
  t.same(ending({ violationCount: 1, refusedEverywhere: 0 }, { failed: 10 }), { exitCode: 1 })
  t.match(ending({}, { failed: 10 }), { exitCode: 2, reason: /^Every request was refused or not answered/ })
  t.match(ending({ logouts: 0, refusedEverywhere: 0 }), { exitCode: 2, reason: /^No logout was checked/ })
  t.match(ending({ refusedEverywhere: 0 }), {
    exitCode: 2, reason: /^None of the 2 logouts was seen to be refused everywhere/
  })
})

t.test('a folder that cannot be written exits with 2 and one line before anything is measured', async t => {
  const file = join(scratchFolder(t), 'file')
  writeFileSync(file, '')
  const { ended, output } = startLoad(t, ['--target', 'http://127.0.0.1:1', '--output', join(file, 'reports')])
  t.equal(await ended, 2, output())
  t.match(output(), /^load: The reports cannot be written to \S+ \(ENOTDIR\): name another folder with --output\.\n$/)
})

t.test('an unexpected error exits with 2, since 1 means that a revoked token was accepted', async t => {
  const answers: Record<string, [number, string]> = {
    '/token': [401, '{"error":"authorization_required"}'],
    '/health/ready': [200, '{}'],
    '/register': [201, '{}'],
    '/login': [200, 'no JSON']
  }
  const odd = await listen(t, createServer((request, response) => {
    const [status, body] = answers[request.url ?? ''] ?? [404, '']
    response.writeHead(status).end(body)
  }))
  const { ended, output } = startLoad(t, ['--target', odd, '--users', '1'])
  t.equal(await ended, 2, output())
  t.match(output(), /^load: This should not have happened: SyntaxError/m)
})

t.test('the report is written and the users are deleted when the terminal is closed', async t => {
  const env = await serversEnv(t)
  const app = await build(t, { ...env, RATE_LIMITS: 'off' })
  const address = await app.listen({ port: 0 })
  const client = new pg.Client({ connectionString: String(env['DATABASE_URL']) })
  await client.connect()
  t.teardown(() => client.end())
  const users = async () => (await client.query('select * from users')).rowCount
  const { child, output, folder } = startLoad(
    t,
    ['--target', address, '--users', '2', '--duration', '600', '--profile', 'read'],
    parts => ['script', ...inTerminal(parts.map(part => `'${part}'`).join(' '))]
  )
  await until('it loads', () => /Loading [^\n]* [1-9]\d* requests,/.test(output()), 60_000)
  t.equal(await users(), 2)
  child.kill('SIGKILL')
  await until('the users are deleted', async () => await users() === 0, 60_000)
  const { report } = readReports(folder)
  // In this profile users log out only at the end.
  t.match(
    report,
    { endedBy: 'interruption', revocation: { violationCount: 0, logouts: 2, logoutsUnderLoad: 0 } },
    'those who left at the end are in it'
  )
})

t.test('an interruption during the start of replicas does not wait for them', async t => {
  await t.rejects(startOwnDeployment(1, { say () {}, signal: AbortSignal.abort() }), {
    message: /^Interrupted before the load began/
  })
})

t.test('the help explains RATE_LIMITS, Ctrl-C and the exit codes, in lines of at most 120 columns', async t => {
  const { ended, output } = startLoad(t, ['--help'])
  t.equal(await ended, 0, output())
  for (const part of [
    'RATE_LIMITS=off', 'Ctrl-C', 'made for the run, and deleted after it', '-h, --help', ...profileNames,
    ...exitCodes.map(([code]) => `\n  ${code}  `)
  ]) {
    t.match(output(), part)
  }
  for (const line of output().split('\n')) t.ok(line.length <= 120, line)
})
