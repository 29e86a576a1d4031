import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { dirname, join, posix } from 'node:path'
import { gzipSync } from 'node:zlib'
import { transform } from 'esbuild'
import t from 'tap'
import { extract } from 'tar'
import ts from 'typescript'
import { packClient, packPlugin, packService, type Tarball } from '../../scripts/packages/pack.ts'
import { packageRoot } from '../../src/package-root.ts'
import { scratchFolder } from '../support/app.ts'
import { undisturbed } from '../support/undisturbed.ts'

const folder = scratchFolder(t)
const tarballs = { plugin: packPlugin(folder), client: packClient(folder), service: packService(folder) }

interface Manifest {
  version: string
  license: string
  exports: Record<string, string | { types: string, default: string }>
  dependencies: Record<string, string>
  peerDependencies: Record<string, string>
}

/** Unpacks a tarball, and returns a function that reads a file in it. */
async function unpack ({ name, file }: Tarball): Promise<(path: string) => string> {
  const cwd = join(scratchFolder(t), name)
  mkdirSync(cwd)
  await extract({ file, cwd })
  return path => readFileSync(join(cwd, 'package', path), 'utf8')
}
const read = {
  plugin: await unpack(tarballs.plugin),
  client: await unpack(tarballs.client),
  service: await unpack(tarballs.service)
}
const manifests = {
  plugin: JSON.parse(read.plugin('package.json')) as Manifest,
  client: JSON.parse(read.client('package.json')) as Manifest,
  service: JSON.parse(read.service('package.json')) as Manifest
}

t.test('the plugin is one file, one for tests, their declarations, documents and a license', async t => {
  t.same([...tarballs.plugin.paths].sort(), [
    'CHANGELOG.md', 'LICENSE', 'README.md', 'docs/errors.md', 'docs/existing-jwt.md', 'docs/move-an-app.md',
    'docs/other-issuers.md', 'docs/plugin-redis.md', 'docs/plugin.md', 'docs/protect-an-api.md',
    'docs/test-your-app.md', 'index.d.ts', 'index.js', 'package.json', 'testing.d.ts', 'testing.js',
    'trusted.d.ts', 'trusted.js'
  ])
})

t.test('the client is one file and its declarations, with documents and a license, and depends on nothing', async t => {
  t.same([...tarballs.client.paths].sort(), [
    'CHANGELOG.md', 'LICENSE', 'README.md', 'docs/client.md', 'docs/errors.md', 'docs/writing-a-client.md',
    'index.d.ts', 'index.js', 'package.json'
  ])
  t.equal(manifests.client.dependencies, undefined)
  t.equal(manifests.client.peerDependencies, undefined)
  for (const path of ['index.js', 'index.d.ts']) t.notMatch(read.client(path), /\bfrom ["']|import\(|require\(|node:/)
})

t.test('the client has at most 6 kB, minified and compressed as a browser gets it', async t => {
  const { code } = await transform(read.client('index.js'), { minify: true, format: 'esm' })
  const bytes = gzipSync(code).length
  t.ok(bytes < 6_000, `${bytes} bytes`)
  t.comment(`${bytes} bytes`)
})

t.test('the service has its programs, documents and migrations, and no plugin and no internal types', async t => {
  const { paths } = tarballs.service
  for (const path of ['dist/src/cli.js', 'docs/cli.md', 'README.md', 'LICENSE']) t.ok(paths.includes(path), path)
  t.same(paths.filter(path => path.endsWith('.d.ts')), ['dist/src/app.d.ts', 'dist/src/config.d.ts'])
  t.same(paths.filter(path => path.startsWith('dist/plugins')), [])
})

t.test('all packages have the same version and license, and every file that their exports name', async t => {
  for (const { version } of Object.values(manifests)) t.equal(version, manifests.service.version)
  t.equal(manifests.plugin.license, 'MIT')
  t.same(Object.keys(manifests.plugin.exports), ['.', './testing', './trusted', './package.json'])
  t.same(Object.keys(manifests.client.exports), ['.', './package.json'])
  t.same(Object.keys(manifests.service.exports), ['./app', './config', './package.json'])
  for (const kind of ['plugin', 'client', 'service'] as const) {
    for (const target of Object.values(manifests[kind].exports)) {
      for (const path of typeof target === 'string' ? [target] : Object.values(target)) {
        t.ok(tarballs[kind].paths.includes(posix.normalize(path)), `${kind}: ${path}`)
      }
    }
  }
})

/** Returns the packages that a file of a package imports, except those of Node. */
function importedBy (kind: keyof typeof read, path: string): string[] {
  const found: string[] = []
  function visit (node: ts.Node): void {
    const isCall = ts.isCallExpression(node) && /^(import|(__)?require)$/.test(node.expression.getText())
    const isStatement = ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
    const name = isStatement ? node.moduleSpecifier : isCall ? node.arguments[0] : undefined
    if (name !== undefined && ts.isStringLiteral(name)) found.push(name.text)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, read[kind](path), ts.ScriptTarget.Latest, true))
  return found
    .filter(imported => !imported.startsWith('.') && !isBuiltin(imported))
    .map(imported => imported.split('/').slice(0, imported.startsWith('@') ? 2 : 1).join('/'))
}

t.test('the plugin imports its dependencies and its peers alone, at most five of them dependencies', async t => {
  const { dependencies, peerDependencies } = manifests.plugin
  t.ok(Object.keys(dependencies).length <= 5)
  t.same(Object.keys(peerDependencies).sort(), ['@fastify/jwt', 'fastify', 'ioredis'])
  const declared = [...Object.keys(dependencies), ...Object.keys(peerDependencies)]
  for (const imported of importedBy('plugin', 'testing.js')) t.ok(declared.includes(imported), imported)
  t.same([...new Set(importedBy('plugin', 'index.js'))].sort(), declared.filter(name => name !== 'fastify').sort())
  t.same([...new Set(importedBy('plugin', 'index.d.ts'))].sort(), ['@fastify/jwt', 'fastify', 'ioredis'])
  t.same([...new Set(importedBy('plugin', 'trusted.d.ts'))].sort(), ['fastify', 'ioredis'])
})

t.test('the service depends on what its programs import, and on no package that is inside them', async t => {
  const programs = tarballs.service.paths.filter(path => path.startsWith('dist/') && path.endsWith('.js'))
  const imported = programs.flatMap(path => importedBy('service', path))
  t.same([...new Set(imported)].sort(), Object.keys(manifests.service.dependencies).sort())
})

t.test('no published type leads to drizzle, to Postgres or to a file of its own', async t => {
  for (const [kind, path] of [
    ['plugin', 'index.d.ts'], ['plugin', 'testing.d.ts'], ['plugin', 'trusted.d.ts'],
    ['service', 'dist/src/app.d.ts'], ['service', 'dist/src/config.d.ts']
  ] as const) {
    t.notMatch(read[kind](path), /from '(drizzle|pg|typebox|\.)|import\(/, path)
  }
})

t.test('what the plugin needs of a package, the repository has, so that its tests are about that version', async t => {
  const installed = createRequire(join(packageRoot, 'package.json'))
  const { satisfies } = createRequire(installed.resolve('fastify'))('semver') as {
    satisfies: (version: string, range: string) => boolean
  }
  const { dependencies, peerDependencies } = manifests.plugin
  for (const [name, range] of Object.entries({ ...dependencies, ...peerDependencies })) {
    const manifest = join(packageRoot, 'node_modules', name, 'package.json')
    const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
    t.ok(satisfies(version, range), `${name} ${version}: ${range}`)
  }
})

t.test('every relative link in the documents of a package leads to a file in it', async t => {
  for (const kind of ['plugin', 'client'] as const) {
    const documents = tarballs[kind].paths.filter(path => path.endsWith('.md'))
    const links = documents.flatMap(path => [...read[kind](path).matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
      .map(([, link = '']) => posix.join(dirname(path), link)))
    t.ok(links.length >= 3)
    for (const link of links) t.ok(tarballs[kind].paths.includes(link), link)
  }
  t.match(read.plugin('docs/plugin.md'), '](https://github.com/signout/signout/blob/main/docs/benchmarks.md)')
})

const exportsIn = (text: string, kind = '') =>
  (new RegExp(`^export ${kind}\\{ (.*) \\};$`, 'm').exec(text)?.[1] ?? '')
    .split(', ').map(name => name.replace(' as default', ''))

t.test('the entry for createTrusted has functions of the plugin, and its types declare no decorator', async t => {
  const [types, program] = [read.plugin('trusted.d.ts'), read.plugin('trusted.js')]
  t.notMatch(types, 'declare module')
  t.match(read.plugin('index.d.ts'), 'declare module')
  const [, names = ''] = /^export \{([^}]*)\} from '\.\/index\.js'$/m.exec(program) ?? []
  const exported = names.split(',').map(name => name.trim()).sort()
  t.ok(exported.includes('createTrusted'))
  t.same(exported, exportsIn(types).sort())
  for (const name of exported) t.ok(exportsIn(read.plugin('index.d.ts')).includes(name), name)
})

t.test('every type that the plugin exports has a comment, and what an app calls has an example', async t => {
  const types = read.plugin('index.d.ts')
  const commentOf = (declaration: string, text = types) =>
    new RegExp(`/\\*\\*((?:(?!\\*/)[^])*)\\*/\\s*${declaration}\\b`).exec(text)?.[1] ?? ''
  const values = exportsIn(types)
  t.ok(values.length >= 5)
  for (const name of values) t.match(commentOf(`declare (?:function|class|const) ${name}`), '@example', name)
  for (const name of exportsIn(types, 'type ')) t.ok(commentOf(`(?:interface|type) ${name}`).length > 0, name)
  const [, decorators = ''] = /interface FastifyInstance \{([^]*?)\n {4}\}/.exec(types) ?? []
  const names = new Set([...decorators.matchAll(/^ {8}(\w+)[(:]/gm)].map(([, name = '']) => name))
  t.ok(names.size >= 8)
  for (const name of names) t.match(commentOf(name, decorators), '@example', name)
})

/** The findings of the tools that stay, each with the reason. */
const explained = {
  // The package is an ES module, which `require()` takes in each version of Node that `engines` admits.
  rules: ['cjs-resolves-to-esm'],
  // The oldest resolution of TypeScript knows no `exports`, which the service needs. The plugin has types there too.
  serviceProfile: 'node16'
}

t.test('publint and arethetypeswrong find nothing in any package that is not explained', async t => {
  const bin = (name: string) => join(packageRoot, 'node_modules', '.bin', name)
  const run = (name: string, args: string[]) => {
    const { status, stdout, stderr } = spawnSync(...undisturbed(bin(name), args), { encoding: 'utf8' })
    t.equal(status, 0, `${name} ${args.join(' ')}\n${stdout}${stderr}`)
    return stdout
  }
  for (const { file } of Object.values(tarballs)) t.match(run('publint', ['run', file, '--strict']), 'All good!')
  const attw = (tarball: Tarball, ...args: string[]) =>
    run('attw', [tarball.file, '--ignore-rules', ...explained.rules, '--format', 'ascii', '--no-color', ...args])
  t.match(attw(tarballs.plugin), /fastify-signout[^]*No problems found/)
  t.match(attw(tarballs.client), /signout-client[^]*No problems found/)
  t.match(attw(tarballs.service, '--profile', explained.serviceProfile), 'signout/config')
})
