import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { validate } from 'dockerfile-utils'
import t from 'tap'
import { loadConfig } from '../../src/config.ts'
import { packageRoot } from '../../src/package-root.ts'
import { lastStage } from './image.ts'

const read = (path: string) => readFileSync(join(packageRoot, path), 'utf8')
const lines = lastStage()
const argument = (name: string) => lines.find(line => line.startsWith(`${name} `))?.slice(name.length + 1) ?? ''

t.test('The Dockerfile is valid', async t => {
  t.same(validate(read('Dockerfile')), [])
})

t.test('the image has Node 24 and no npm, and its server runs without root', async t => {
  t.match(read('Dockerfile'), /^FROM node:24-bookworm-slim AS base$/m)
  t.equal(argument('FROM'), 'debian:bookworm-slim', 'the same Debian, without Node')
  const fromBase = lines.filter(line => line.startsWith('COPY --from=base '))
  t.same(fromBase, ['COPY --from=base /usr/local/bin/node /usr/local/bin/node'], 'the program alone')
  t.notMatch(lines.filter(line => line.startsWith('RUN ')).join('\n'), /\b(apt|apt-get|npm|curl|wget)\b/)
  t.equal(argument('USER'), '1000:1000')
  t.ok(lines.some(line => /^LABEL .*image\.source="https:.*image\.licenses="MIT"/.test(line)))
  t.same(JSON.parse(argument('CMD')), ['node', 'dist/src/server.js'])
  t.equal(argument('EXPOSE'), '3000')
  const env = Object.fromEntries(argument('ENV').split(' ').map(pair => pair.split('=')))
  t.match(env, { NODE_ENV: 'production', HOST: '0.0.0.0', PORT: argument('EXPOSE'), SHUTDOWN_DELAY: /^[1-9]\d*$/ })
  t.equal(env['DATA_DIR'], argument('VOLUME'))
  t.equal(loadConfig(env).storage.kind, 'embedded')
})

t.test('every file that the Dockerfile copies is in the build context, and no other file is', async t => {
  const copied = [...read('Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources = '']) =>
    sources.split(' ')
  )
  t.ok(copied.includes('src/db/migrations'), 'the compiler leaves them where they are')
  for (const path of copied) {
    t.ok(existsSync(join(packageRoot, path)), `${path} is there`)
    t.ok(isAdmitted(path), `${path} is admitted`)
  }
  const imports = [...read('scripts/build.js').matchAll(/ from '\.\/([^']+)'/g)].map(([, name]) => `scripts/${name}`)
  t.ok(imports.length > 0)
  t.same(imports.filter(path => !copied.includes(path)), [], 'the build finds the scripts that it imports')
  const within = (path: string) => copied.some(source => source === path || source.startsWith(`${path}/`))
  const secretOrBuilt = ['node_modules', 'dist', '.git', '.env', '.signout', '.services']
  const scripts = readdirSync(join(packageRoot, 'scripts')).map(name => `scripts/${name}`)
  for (const path of [...secretOrBuilt, ...readdirSync(packageRoot), ...scripts]) {
    if (!within(path)) t.notOk(isAdmitted(path), `${path} stays out`)
  }
})

/** The last line of .dockerignore that names the path, or a folder above it, decides. */
function isAdmitted (path: string): boolean {
  const lines = read('.dockerignore').split('\n').filter(line => line !== '' && !line.startsWith('#'))
  const decides = lines.findLast(line => {
    const pattern = line.replace('!', '').replaceAll('.', '\\.').replaceAll('*', '[^/]*')
    return new RegExp(`^${pattern}(/|$)`).test(path)
  })
  return decides?.startsWith('!') ?? true
}
