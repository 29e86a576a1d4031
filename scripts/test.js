// Runs the tests and ends with one line, `N passed, N failed`, for people and programs. Fails if a test failed, or if
// no test ran. In a terminal the report is tap's own. Elsewhere it has a line for each process, and each failure.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

// Compiled before the tests run.
const { findMemoryFolder } = await import('../.build/scripts/services/memory-folder.js')
const root = join(import.meta.dirname, '..')
const tapPackage = createRequire(import.meta.url).resolve('tap/package.json')
const tap = join(dirname(tapPackage), JSON.parse(readFileSync(tapPackage, 'utf8')).bin.tap)
/** The file of the whole report. */
const results = join(root, '.tap', 'results.tap')
const inTerminal = process.stdout.isTTY === true
const isCounting = !process.argv.includes('--disable-coverage')
const withoutLoader = `--import=${pathToFileURL(join(import.meta.dirname, 'test-process.js')).href}`
const nodeOptions = [process.env['NODE_OPTIONS'], withoutLoader].filter(Boolean).join(' ')

const tests = join(root, '.build', 'test')
/** The folder of the files that tap runs, each in a process. */
const processes = join(root, '.build', 'processes')
const help = `Usage: npm test [-- FILE ...]
       npm run test:quick
       npm run test:long [-- FILE ...]

Runs test files, such as test/config.test.ts. Other arguments are passed to tap. Needs \`npm run services\`. Exits with 1
if a test fails, or if no test runs. Without a FILE:

  npm test             runs all tests
  npm run test:quick   takes 90 seconds: leaves out the tests of faults, outages, races, load, proxies, browsers, documents,
                       examples, packages and upgrades, and others that start many processes; uses Postgres and Redis
                       where \`npm test\` uses the embedded mode too
  npm run test:long    runs the long form of the tests that have one: the same checks as in
                       \`npm test\`, on all samples instead of some
`

/** The tests that take longest. They begin first, each in a process of its own. */
const longest = [
  'faults/history', 'faults/seeded-bugs', 'races/admin-against-endings', 'client/browser', 'docs/commands',
  'package/install', 'upgrade/upgrade', 'package/contents', 'client/replicas', 'server', 'shutdown/rolling-restart'
].map(toTestFile)
/** Tests of a process with others that take long. They are dealt to the processes first. */
const slow = [
  'administration/keys', 'blocklist/record', 'cli/user-changes', 'cli/users', 'limits/counter', 'maintenance/janitor',
  'monitoring/service', 'plugins/auth/issue-cut-offs', 'plugins/auth/token-memory-bounds', 'record/losses',
  'revocation/blocklist', 'routes/hostile-tokens', 'routes/limits', 'tidy', 'trust/by-cut-off', 'words'
].map(toTestFile)
/** Tests that measure their process, look for its timers, or change its clock. Each has a process of its own. */
const alone = [
  'benchmarks/bench', 'faults/memory', 'faults/rebuild', 'model/model', 'promises/options',
  'revocation/revocation-check'
].map(toTestFile)
/** Tests that start servers and wait for them, or keep both cores busy. Some share a process. */
const busy = [
  'benchmarks', 'docs', 'examples', 'faults', 'model', 'package', 'promises', 'races', 'scripts', 'shutdown', 'upgrade',
  ...['client/browser', 'client/replicas', 'server', 'waiting'].map(toTestFile)
]
/** The tests that `npm run test:quick` leaves out: faults, races, load, and others that start many processes. */
const leftOut = [
  ...busy, 'browsers', 'deploy', 'load', 'ops', 'stories',
  ...[
    'blocklist/own-topology', 'cli/configuration', 'cli/confirm', 'cli/embedded', 'cli/outage', 'cli/revoke',
    'cli/start-settings', 'cli/users', 'db/initial-database', 'keys/secret-change', 'keys/verifiers',
    'monitoring/exposure', 'monitoring/outage-log', 'monitoring/outages', 'redis/cluster/blocklist',
    'redis/health/examination', 'redis/secured', 'revocation/replicated-writes', 'routes/docs-page',
    'routes/start-page', 'sessions/many', 'settings/start-errors', 'standards/strangers'
  ].map(toTestFile)
]

/**
 * The first test of each process, which ends when all files are loaded. They are loaded side by side. Without it, the
 * tests of one file could be over before the next is loaded, and then tap ends.
 */
const loading = `import t from 'tap'
export let begin
t.test('all files of the process are loaded', t => new Promise(resolve => {
  begin = () => resolve(t.pass())
}))
`

const isQuick = process.argv.includes('--quick')
/** How many busy tests, and how many others, share a process. Each process costs a second of processor time. */
const sizes = { busy: 3, other: isQuick ? 21 : 10 }
const isLong = process.argv.includes('--long')
if (process.argv.includes('--help')) {
  process.stdout.write(help)
  process.exit()
}
buildTap()
mkdirSync(dirname(results), { recursive: true })
rmSync(results, { force: true })
const given = process.argv.slice(2).filter(argument => !['--quick', '--long'].includes(argument)).map(toCompiled)
const namesFiles = given.some(argument => !argument.startsWith('-'))
/** The number of test files, and how many of them are not run, although no FILE was given. */
const files = { all: 0, leftOut: 0 }
const child = spawn(
  process.execPath,
  [
    tap, inTerminal ? `--output-file=${results}` : '--reporter=tap', ...isQuick ? ['--jobs=9'] : [], ...given,
    ...namesFiles ? [] : chooseTests()
  ],
  {
    cwd: root,
    env: {
      ...process.env,
      ...!isCounting && { NODE_OPTIONS: nodeOptions },
      ...(isLong || isQuick) && { TEST_FORM: isLong ? 'long' : 'quick' },
      ...fastFolder()
    },
    stdio: ['inherit', inTerminal ? 'inherit' : 'pipe', 'inherit']
  }
)
if (!inTerminal) report(createInterface({ input: child.stdout }))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))

child.on('close', code => {
  const count = name =>
    Number(new RegExp(`^# \\{.*\\b${name}: (\\d+)`, 'm').exec(readFileSync(results, 'utf8'))?.[1] ?? 0)
  if (count('total') === 0) process.stderr.write('No test ran.\n')
  if (files.leftOut > 0) process.stdout.write(`Left out ${files.leftOut} of ${files.all} test files, see --help.\n`)
  process.stdout.write(`${count('pass')} passed, ${count('fail')} failed\n`)
  process.exitCode = code === 0 && count('total') === 0 ? 1 : code ?? 1
})

/**
 * Writes a file for each process, which loads its test files, and returns the files. tap runs them in the order of
 * their names. Those that wait and those that compute alternate, and the longest begin early: no core is idle then.
 */
function chooseTests () {
  const all = readdirSync(tests, { recursive: true }).filter(path => path.endsWith('.test.js'))
  const chosen = all.filter(path => !(isQuick && isIn(leftOut, path)) && !(isLong && !hasLongForm(path)))
    .sort((a, b) => Number(slow.includes(b)) - Number(slow.includes(a)) || (a < b ? -1 : 1))
  Object.assign(files, { all: all.length, leftOut: all.length - chosen.length })
  const single = [...longest, ...alone]
  const shared = chosen.filter(path => !single.includes(path))
  const place = list => list.map((paths, index) => ({ paths, at: index / list.length }))
  const mixed = [
    ...place(deal(shared.filter(path => isIn(busy, path)), sizes.busy)),
    ...place(deal(shared.filter(path => !isIn(busy, path)), sizes.other))
  ].sort((a, b) => a.at - b.at).map(({ paths }) => paths)
  const ofOne = list => list.filter(path => chosen.includes(path)).map(path => [path])
  rmSync(processes, { recursive: true, force: true })
  mkdirSync(processes)
  writeFileSync(join(processes, 'loading.js'), loading)
  return [...ofOne(longest), ...mixed, ...ofOne(alone)]
    .map((paths, index) => writeProcess(paths, String(index + 1).padStart(3, '0')))
}

/** Deals files to groups of a size. Neighbours, which are often alike, come into different ones. */
function deal (files, size) {
  const count = Math.ceil(files.length / size)
  return Array.from({ length: count }, (_, index) => files.filter((_, place) => place % count === index))
}

/** Writes the file of a process, which is named after the first test file that it loads, and returns it. */
function writeProcess (paths, number) {
  const file = join(processes, `${number}-${paths[0].replaceAll(sep, '-')}`)
  const imports = paths.map(path => `import '../test/${path.replaceAll(sep, '/')}'\n`)
  writeFileSync(file, `import { begin } from './loading.js'\n${imports.join('')}begin()\n`)
  return file
}

/** Returns true for a file that imports the long form, or the races, which have one. */
function hasLongForm (path) {
  return /\/(form|races)\.js"/.test(readFileSync(join(tests, path), 'utf8'))
}

/** Returns the path of a test file in the folder of the compiled tests. Throws if there is no such file. */
function toTestFile (path) {
  const file = join(...`${path}.test.js`.split('/'))
  if (!existsSync(join(tests, file))) throw new Error(`scripts/test.js names ${path}, and there is no such test.`)
  return file
}

function isIn (places, path) {
  return places.some(place => path === place || path.startsWith(place + sep))
}

/** Returns the compiled form of a test file, and every other argument as it is. */
function toCompiled (argument) {
  return /^(\.\/)?test\/.*\.ts$/.test(argument) ? join('.build', argument.replace(/\.ts$/, '.js')) : argument
}

/**
 * Builds tap without the plugins that .taprc excludes, unless that was done before. tap does so too, but too late. Its
 * first run in a fresh clone still has their loaders, which double the processor time of every test.
 */
function buildTap () {
  const built = readFileSync(createRequire(tapPackage).resolve('@tapjs/test/test-built'), 'utf8')
  const excluded = [...readFileSync(join(root, '.taprc'), 'utf8').matchAll(/"!(@tapjs\/\w[\w-]*)"/g)]
  if (!excluded.some(([, name]) => built.includes(`require("${name}")`))) return
  const { status } = spawnSync(process.execPath, [tap, 'build'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) process.exit(status ?? 1)
}

/** Returns the setting that puts the databases of tests into memory, if the system has a folder for that. */
function fastFolder () {
  const folder = process.env['TMPDIR'] === undefined ? findMemoryFolder() : undefined
  return folder === undefined ? {} : { TMPDIR: folder }
}

/** Prints a line for each file, the coverage, and every failure with its diagnostics. */
function report (lines) {
  const all = []
  let inDiagnostics = false
  lines.on('line', line => {
    all.push(line)
    if (/^\s*not ok /.test(line)) inDiagnostics = true
    else if (/^\s*(# Subtest: |ok \d|1\.\.\d)/.test(line)) inDiagnostics = false
    if (inDiagnostics || /^ok |^-+\||^.{10,}\| +%? ?[\d.St]+ /.test(line)) process.stdout.write(`${line}\n`)
  })
  lines.on('close', () => { writeFileSync(results, `${all.join('\n')}\n`) })
}
