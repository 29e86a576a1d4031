import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseOptions } from '../../scripts/load/options.ts'
import { exitCodes } from '../../scripts/load/outcome.ts'
import { describeShares, profileNames, profiles, type Profile } from '../../scripts/load/profiles.ts'
import { describeError, errorCodes } from '../../src/errors.ts'
import { packageRoot } from '../../src/package-root.ts'
import { blocks, documents, read } from './markdown.ts'

const sources = (readdirSync(join(packageRoot, 'src'), { recursive: true }) as string[])
  .filter(name => name.endsWith('.ts'))
  .map(name => join('src', name))

t.test('docs/errors.md lists every error code with its status', async t => {
  const rows = [...read('docs/errors.md').matchAll(/^\| (\d{3}) \| `(\w+)` \|/gm)].map(
    ([, status, code]) => `${status} ${code}`
  )
  t.same(rows, errorCodes.map(code => `${describeError(code).statusCode} ${code}`))
})

t.test('docs/errors.md has an action for each code, and a client signs out only for a 401 from a refresh', async t => {
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

t.test('docs/load.md has valid commands, and the shares of the profiles', async t => {
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

t.test('every npm script that the documents name exists', async t => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  for (const path of documents) {
    for (const [, name = ''] of read(path).matchAll(/\bnpm run (?:-s |--silent )?([\w:]+)/g)) {
      t.ok(name in scripts, `${path}: npm run ${name}`)
    }
  }
})

t.test('every link between the documents leads to a file', async t => {
  for (const path of documents) {
    for (const [, link = ''] of read(path).matchAll(/\]\((?!http)([^)#]+)/g)) {
      t.ok(existsSync(join(packageRoot, path, '..', link)), `${path}: ${link}`)
    }
  }
})

t.test('docs/README.md is an index of all documents', async t => {
  for (const path of documents.filter(path => /^docs\/(?!README)/.test(path))) {
    t.match(read('docs/README.md'), `(${path.slice('docs/'.length)})`, path)
  }
})

t.test('an anchor in a link is a heading of the document that it leads to', async t => {
  const anchorsOf = (text: string) => [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading.toLowerCase().replace(/[^\w\s-]/g, '').replace(/\s/g, '-'))
  for (const path of documents) {
    for (const [, link = '', anchor = ''] of read(path).matchAll(/\]\((?!http)([^)#]*)#([^)]+)\)/g)) {
      const target = link === '' ? path : join(path, '..', link)
      t.ok(anchorsOf(read(target)).includes(anchor), `${path}: ${link}#${anchor}`)
    }
  }
})

t.test('each line that docs/troubleshooting.md quotes is in the code', async t => {
  const [, section = ''] = /## The service does not start\n([^]*?)\n## /.exec(read('docs/troubleshooting.md')) ?? []
  const quoted = [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, line = '']) => line)
  t.ok(quoted.length >= 4)
  const code = sources.map(read).join('\n')
  for (const part of quoted.flatMap(line => line.split('…')).map(part => part.trim())) t.ok(code.includes(part), part)
})
