import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { parseOptions } from '../scripts/load/options.ts'
import { exitCodes } from '../scripts/load/outcome.ts'
import { describeShares, profileNames, profiles, type Profile } from '../scripts/load/profiles.ts'
import { describeError, errorCodes } from '../src/errors.ts'
import { packageRoot } from '../src/package-root.ts'
import { embeddedEnv, scratchFolder } from './support/app.ts'
import { startServer } from './support/server-process.ts'
import { redisUrl, scratchPrefix } from './support/services.ts'

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'test/faults/README.md',
  ...readdirSync(join(packageRoot, 'docs'))
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`)
]
const read = (path: string) => readFileSync(join(packageRoot, path), 'utf8')
const blocks = (text: string, language: string) =>
  [...text.matchAll(new RegExp('^```' + language + '\\n([^]*?)^```', 'gm'))].map(match => match[1] ?? '')

/** What differs each time: ids, instants, tokens, dates and how long a connection is kept. */
const normalize = (text: string) => text
  .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<id>')
  .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<instant>')
  .replace(/^Date: .*$/gm, 'Date: <date>')
  .replace(/"eyJ[^"]+"/g, '"<token>"')
  .replace(/"refresh_token":"[^"]+"/g, '"refresh_token":"<token>"')
  .replaceAll('\r', '')
  .trim()

t.test('the commands of the README answer what it says', async t => {
  const { address } = await startServer(t, await embeddedEnv(t))
  const folder = scratchFolder(t)
  const sessions = blocks(read('README.md'), 'console').filter(block => block.includes('curl'))
  t.ok(sessions.length >= 2)
  // One shell for all of them, since what one leaves behind the next uses. A line between marks where an answer ends.
  const steps = sessions.join('\n').split(/^\$ /m).slice(1).map(step => {
    const [command = '', ...answer] = step.split('\n')
    return { command, answer: answer.join('\n') }
  })
  const script = steps
    .map(({ command }) => `${command.replaceAll('http://127.0.0.1:3000', address)}\necho; echo "<end>"`)
    .join('\n')
  const { stdout, stderr } = spawnSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8', timeout: 60_000 })
  const answers = stdout.split('<end>')
  for (const [index, { command, answer }] of steps.entries()) {
    t.equal(normalize(answers[index] ?? stderr), normalize(answer), command.slice(0, 100))
  }
})

t.test('a wrong setting says what the README says', async t => {
  const [block = ''] = blocks(read('README.md'), 'console').filter(block => block.includes('npm start'))
  const [command = '', answer] = block.replace(/^\$ /, '').split('\n')
  const { stderr, status } = spawnSync('bash', ['-c', command], { cwd: packageRoot, encoding: 'utf8', timeout: 60_000 })
  t.equal(stderr.trim().split('\n').at(-1), answer)
  t.equal(status, 1)
})

t.test('the app of docs/plugin.md works', async t => {
  const [code = ''] = blocks(read('docs/plugin.md'), 'ts')
  const file = join(scratchFolder(t), 'app.mts')
  const local = (path: string) => JSON.stringify(import.meta.resolve(path))
  writeFileSync(file, code
    .replace("'signout'", JSON.stringify(pathToFileURL(join(packageRoot, 'plugins', 'auth', 'auth.ts')).href))
    .replace("'fastify'", local('fastify'))
    .replace('my-app:', scratchPrefix(t)))
  const { stdout, stderr, status } = spawnSync(process.execPath, [
    '--import',
    import.meta.resolve('tsx'),
    '--input-type=module',
    '-e',
    `
    const { default: app } = await import(${JSON.stringify(pathToFileURL(file).href)})
    const { token } = (await app.inject({ method: 'POST', url: '/login' })).json()
    const headers = { authorization: 'Bearer ' + token }
    const answers = []
    for (const [method, url] of [['GET', '/secret'], ['POST', '/logout'], ['GET', '/secret']]) {
      answers.push((await app.inject({ method, url, headers })).statusCode)
    }
    await app.close()
    console.log(JSON.stringify(answers))
  `
  ], { encoding: 'utf8', timeout: 60_000, env: { PATH: process.env['PATH'], REDIS_URL: redisUrl() } })
  t.equal(status, 0, stderr)
  t.equal(stdout.trim(), '[200,200,401]')
})

t.test('docs/errors.md lists every code with its status', async t => {
  const rows = [...read('docs/errors.md').matchAll(/^\| (\d{3}) \| `(\w+)` \|/gm)].map(
    ([, status, code]) => `${status} ${code}`
  )
  t.same(rows, errorCodes.map(code => `${describeError(code).statusCode} ${code}`))
})

t.test('docs/errors.md says what a client does for each code, and signs out for a 401 from a refresh alone', async t => {
  const [, table = ''] = read('docs/errors.md').split('## What a client does\n')
  const rows = [...table.matchAll(/^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$/gm)]
    .slice(1)
    .map(([, request = '', answer = '', action = '']) => ({ request, answer, action }))
  for (const code of errorCodes) t.ok(rows.some(({ answer }) => answer.includes(`\`${code}\``)), code)
  const signingOut = rows.filter(({ action }) => /is signed out|sign in/i.test(action))
  t.match(signingOut, [{ request: '`POST /refresh`', answer: /^401 / }])
  t.equal(signingOut.length, 1)
  const renewing = rows.find(({ action }) => action.includes('Renew the access token'))
  t.match(renewing?.answer, /^401 with any code: .*`token_revoked`/)
  t.match(renewing?.action, /Read the stored pair again.*refresh once/)
  for (const status of ['503', '429']) {
    t.ok(
      rows.some(({ request, answer, action }) =>
        request.includes('/refresh') && answer.includes(status) && action.includes('not signed out')),
      status
    )
  }
})

t.test('docs/load.md has commands that are understood, and the shares of the profiles', async t => {
  const commands = blocks(read('docs/load.md'), 'sh').flatMap(block => block.trim().split('\n'))
  t.ok(commands.length >= 4)
  for (const command of commands) {
    const [, args = ''] = /^npm run load(?: -- (.*))?$/.exec(command) ?? []
    t.ok(parseOptions(args === '' ? [] : args.split(' ')), command)
  }
  for (const name of profileNames) {
    const { about, shares }: Profile = profiles[name]
    t.match(read('docs/load.md'), `| \`${name}\` | ${shares === undefined ? about : describeShares(shares)} |`)
  }
  for (const [code, meaning] of exitCodes) t.match(read('docs/load.md'), `| ${code} | ${meaning} |`)
})

t.test('every script that the documents name is there', async t => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  for (const path of documents) {
    for (const [, name = ''] of read(path).matchAll(/\bnpm run (?:-s |--silent )?([\w:]+)/g)) {
      t.ok(name in scripts, `${path}: npm run ${name}`)
    }
  }
})

t.test('links between the documents lead somewhere', async t => {
  for (const path of documents) {
    for (const [, link = ''] of read(path).matchAll(/\]\((?!http)([^)#]+)/g)) {
      t.ok(read(join(path, '..', link)).length > 0, `${path}: ${link}`)
    }
  }
})
