import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { packageRoot } from '../src/package-root.ts'
import { longLinesOf } from './support/long-lines.ts'

/** The limits that this repository keeps. */
const maxFileLines = 250
const maxFunctionLines = 70
const maxTestLines = 40
const maxHandlerLines = 10
const maxFilesInFolder = 12
/** The folders whose lines are at most 120 columns long. */
const narrowFolders = ['client', 'examples', 'plugins', 'routes', 'scripts', 'src', 'test']
/** The functions of `src` with a select that needs every row. A user has few sessions, and there are few records. */
const needEveryRow = [
  'findEndedWithLiveTokens', 'findSurplusSessions', 'findThoseThatCanEnd', 'listKeys', 'lockUserAndAdmins'
]
const namedFile = /`((?:client|examples|ops|src|plugins|routes|scripts|test)\/[\w./-]+\.\w+)`/g
/** The files at the top of `src`: entry points, and files that belong to no room. */
const looseFiles = ['app.ts', 'cli.ts', 'config.ts', 'errors.ts', 'package-root.ts', 'server.ts', 'unit-of-work.ts']

const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: packageRoot, encoding: 'utf8'
}).trim().split('\n')
const sources = tracked.filter(path => /\.(ts|js)$/.test(path) && !path.endsWith('.d.ts'))
const read = (path: string) => readFileSync(join(packageRoot, path), 'utf8')
const parsed = new Map(sources.map(path => [path, ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true)]))
const inFolder = (folder: string) => sources.filter(path => path.startsWith(`${folder}/`))

/** Returns the imports of a file from this repository, as paths from its root. */
function importsOf (path: string): string[] {
  const found: string[] = []
  for (const statement of parsed.get(path)?.statements ?? []) {
    if (
      (ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement)) &&
      statement.moduleSpecifier !== undefined &&
      ts.isStringLiteral(statement.moduleSpecifier)
    ) {
      const specifier = statement.moduleSpecifier.text
      if (specifier.startsWith('.')) found.push(normalize(join(dirname(path), specifier)))
    }
  }
  return found
}

function visit (node: ts.Node, look: (node: ts.Node) => void): void {
  look(node)
  ts.forEachChild(node, child => { visit(child, look) })
}

const linesOf = (node: ts.Node) => {
  const file = node.getSourceFile()
  return (
    file.getLineAndCharacterOfPosition(node.end).line - file.getLineAndCharacterOfPosition(node.getStart()).line + 1
  )
}

const isTestCall = (node: ts.Node): node is ts.CallExpression =>
  ts.isCallExpression(node) && /^(t\.test|testFault)$/.test(node.expression.getText())

t.test('the top level of the repository has only the agreed folders', async t => {
  const folders = new Set(tracked.filter(path => path.includes('/')).map(path => path.split('/')[0]))
  t.equal([...folders].sort().join(' '), '.ci client deploy docs examples ops plugins routes scripts src test')
})

t.test('src imports no HTTP library, no plugin and no route', async t => {
  const rooms = inFolder('src').filter(path => path !== 'src/app.ts')
  t.ok(rooms.length > 100)
  const importsOther = (path: string) => importsOf(path).some(to => /^(plugins|routes|test|scripts)\//.test(to))
  t.same(rooms.filter(importsOther), [], 'they import src only')
  const fastify = /from '(@fastify\/(?!type-provider)[^']*|fastify[^']*|node:http)'/
  t.same(rooms.filter(path => fastify.test(read(path))), [], 'and not Fastify')
})

t.test('the imports between files have no cycle, types included', async t => {
  t.same(findCircles(new Map(sources.map(path => [path, importsOf(path)]))), [])
})

t.test('the folders of src form a stack: the imports between them have no cycle, types included', async t => {
  const graph = new Map<string, string[]>()
  for (const path of inFolder('src')) {
    const imported = importsOf(path)
      .filter(to => to.startsWith('src/'))
      .map(roomOf)
      .filter(room => room !== roomOf(path))
    graph.set(roomOf(path), [...graph.get(roomOf(path)) ?? [], ...imported])
  }
  t.same(findCircles(graph), [])
})

t.test('a folder has at most twelve files, and the top of src has only the agreed ones', async t => {
  const product = sources.filter(path => /^(src|plugins|routes|client)\//.test(path))
  for (const folder of new Set(product.map(path => dirname(path)))) {
    const files = product.filter(path => dirname(path) === folder).map(path => basename(path))
    t.ok(files.length <= maxFilesInFolder, `${folder} has ${files.length} files`)
    if (folder === 'src') t.same(files.sort(), looseFiles)
  }
})

t.test('plugins import src and never routes, and are named and wrapped by fastify-plugin', async t => {
  for (const path of inFolder('plugins')) {
    t.notOk(importsOf(path).some(imported => /^(routes|test|scripts)\//.test(imported)), path)
    if (/export default/.test(read(path))) {
      t.match(read(path), /export default fp\(\w+, \{ name: '[\w-]+', fastify: '5\.x'/, path)
    }
  }
})

t.test('routes import only the schemas and errors of src, and are not wrapped by fastify-plugin', async t => {
  for (const path of inFolder('routes')) {
    t.same(
      importsOf(path).filter(imported => !['src/schemas/schemas.ts', 'src/errors.ts'].includes(imported)), [], path
    )
    t.notMatch(read(path), 'fastify-plugin', path)
  }
})

t.test('a route handler has at most ten lines', async t => {
  for (const path of inFolder('routes')) {
    visit(parsed.get(path) as ts.Node, node => {
      if (!ts.isCallExpression(node) || !/^app\.(get|post|put|patch|delete)$/.test(node.expression.getText())) return
      const handler = node.arguments.at(-1)
      if (handler !== undefined) {
        t.ok(linesOf(handler) <= maxHandlerLines + 2, `${path}: ${node.arguments[0]?.getText()}`)
      }
    })
  }
})

t.test('no file outside test/ imports a test', async t => {
  const outside = sources.filter(path => !path.startsWith('test/'))
  t.ok(outside.length > 200)
  t.same(outside.filter(path => importsOf(path).some(imported => imported.startsWith('test/'))), [])
})

t.test('files, functions and tests keep their limits of lines', async t => {
  t.same(sources.filter(path => read(path).split('\n').length > maxFileLines + 1), [], 'files that are too long')
  for (const [path, file] of parsed) {
    visit(file, node => {
      if (isTestCall(node)) {
        const own = linesOf(node.arguments.find(ts.isFunctionLike) ?? node) - nestedTestLines(node)
        if (own > maxTestLines) t.fail(`${path}: the test ${node.arguments[0]?.getText()} has ${own} lines`)
      } else if (ts.isFunctionLike(node) && !path.startsWith('test/') && linesOf(node) > maxFunctionLines) {
        t.fail(`${path}: a function has ${linesOf(node)} lines: ${node.getText().slice(0, 60)}`)
      }
    })
  }
})

t.test('a line has at most 120 columns, unless it is one text or the header of a test', async t => {
  const narrow = narrowFolders.flatMap(inFolder)
  t.ok(narrow.length > 200, 'the folders are there')
  const longIn = (path: string) => longLinesOf(parsed.get(path) as ts.SourceFile).map(line => `${path}: ${line}`)
  t.same(narrow.flatMap(longIn), [])
})

t.test('every test has an assertion', async t => {
  const asserts = /\bt\.(?!test\b|teardown\b|type\b)\w+\(|test\w*\(t, |expect\w+\(t|onEach\w+\(t/
  const tests: ts.CallExpression[] = []
  for (const [path, file] of parsed) {
    if (path.endsWith('.test.ts')) visit(file, node => { if (isTestCall(node)) tests.push(node) })
  }
  t.ok(tests.length > 1_000)
  // The first argument is the title, or a description for testFault. It asserts nothing.
  const textOf = ({ arguments: [, ...rest] }: ts.CallExpression) => rest.map(argument => argument.getText()).join()
  const without = tests.filter(test => !asserts.test(textOf(test)))
  t.same(without.map(test => `${test.getSourceFile().fileName}: ${test.arguments[0]?.getText()}`), [])
})

t.test('a select in src has a LIMIT that drizzle does not omit, reads one row, or needs every row', async t => {
  const without = inFolder('src').flatMap(path => selectsWithoutLimit(parsed.get(path) as ts.SourceFile))
  t.same(without.sort(), needEveryRow, 'the functions whose selects may return a whole table')
  t.same(inFolder('src').filter(path => /\.limit\((?!rowLimit\(\w+\)|\d+\))/.test(read(path))), [])
})

t.test('every dependency has its reason in docs/dependencies.md', async t => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<string, Record<string, string>>
  const reasons = read('docs/dependencies.md')
  const listed = [...reasons.matchAll(/^\| `([^`]+)` \|/gm)].map(match => match[1])
  t.same(listed.sort(), [...Object.keys(dependencies ?? {}), ...Object.keys(devDependencies ?? {})].sort())
})

t.test('every file of the repository that a document names exists', async t => {
  for (const document of tracked.filter(path => path.endsWith('.md') && path !== 'CHANGELOG.md')) {
    const named = [...read(document).matchAll(namedFile)]
    for (const [, path = ''] of named) t.ok(tracked.includes(path), `${document}: ${path}`)
  }
})

t.test('no file names a folder or a registry of a particular machine', async t => {
  const machine = /\/(work|home\/\w+|Users\/\w+)\/\w|registry\.\w+\.\w+/
  t.same(tracked.filter(path => !/\.(png|ico|tgz)$/.test(path) && machine.test(read(path))), [])
})

/** Returns the folder of src that a file belongs to, subfolders included. A loose file is a room of its own. */
function roomOf (path: string): string {
  return path.split('/').slice(0, 2).join('/')
}

/** Returns the cycles of a graph, each as its path; empty if there is no cycle. */
function findCircles (graph: ReadonlyMap<string, readonly string[]>): string[] {
  const circles: string[] = []
  const finished = new Set<string>()
  function walk (node: string, way: readonly string[]): void {
    if (way.includes(node)) circles.push([...way.slice(way.indexOf(node)), node].join(' -> '))
    if (finished.has(node) || way.includes(node)) return
    for (const next of graph.get(node) ?? []) walk(next, [...way, node])
    finished.add(node)
  }
  for (const node of graph.keys()) walk(node, [])
  return circles
}

const isCallee = (node: ts.Node) => ts.isCallExpression(node.parent) && node.parent.expression === node

/** Returns the functions of a file with a select that has no LIMIT, unless they read only the first row. */
function selectsWithoutLimit (file: ts.SourceFile): string[] {
  const found: string[] = []
  visit(file, node => {
    if (!ts.isPropertyAccessExpression(node) || !/^select/.test(node.name.text)) return
    let query: ts.Node = node
    while (ts.isPropertyAccessExpression(query.parent) || isCallee(query)) query = query.parent
    const reader = ts.findAncestor(node, ts.isVariableDeclaration)?.name
    if (/\.limit\(/.test(query.getText()) || /^\[\w+\]$/.test(reader?.getText() ?? '')) return
    found.push(ts.findAncestor(node, ts.isFunctionDeclaration)?.name?.text ?? query.getText())
  })
  return found
}

/** Counts the lines of the tests inside a test, which have their own limit. */
function nestedTestLines (test: ts.Node): number {
  let lines = 0
  ts.forEachChild(test, function look (node) {
    if (isTestCall(node)) lines += linesOf(node)
    else ts.forEachChild(node, look)
  })
  return lines
}
