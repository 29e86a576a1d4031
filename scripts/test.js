// Runs the tests and ends with one line, `N passed, N failed`, for people and programs. Fails if a test failed, or if
// no test ran. In a terminal the report is tap's own. Elsewhere it has a line for each process, and each failure.
// Arguments are passed to tap: `npm test -- test/config.test.ts` runs the compiled form of that file. Without a file,
// all tests run, and with `--quick` all but those that take long: see `slow`.
import { spawn, spawnSync } from 'node:child_process'
import {
  accessSync, constants, mkdirSync, readFileSync, readdirSync, rmSync, statfsSync, writeFileSync
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

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
/** The folder of the files that load several test files. */
const groups = join(root, '.build', 'groups')
/** Folders of tests that wait for deadlines, or that keep both cores busy. */
const slow = ['benchmarks', 'faults', 'load', 'model', 'promises', 'races', 'upgrade']
/** Tests that start processes, or that take long. Each file has a process of its own. */
const alone = [...slow, 'cli', 'docs', 'package', 'scripts', 'shutdown', 'server.test.js', 'waiting.test.js']
/** The largest number of other test files in one process. To start a process costs a second of processor time. */
const maxInGroup = 6

buildTap()
mkdirSync(dirname(results), { recursive: true })
rmSync(results, { force: true })
const isQuick = process.argv.includes('--quick')
const given = process.argv.slice(2).filter(argument => argument !== '--quick').map(toCompiled)
const namesFiles = given.some(argument => !argument.startsWith('-'))
const child = spawn(
  process.execPath,
  [
    tap, inTerminal ? `--output-file=${results}` : '--reporter=tap', ...given, ...namesFiles ? [] : allTests()
  ],
  {
    cwd: root,
    env: { ...process.env, ...!isCounting && { NODE_OPTIONS: nodeOptions }, ...fastFolder() },
    stdio: ['inherit', inTerminal ? 'inherit' : 'pipe', 'inherit']
  }
)
if (!inTerminal) report(createInterface({ input: child.stdout }))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))

child.on('close', code => {
  const count = name =>
    Number(new RegExp(`^# \\{.*\\b${name}: (\\d+)`, 'm').exec(readFileSync(results, 'utf8'))?.[1] ?? 0)
  if (count('total') === 0) process.stderr.write('No test ran.\n')
  process.stdout.write(`${count('pass')} passed, ${count('fail')} failed\n`)
  process.exitCode = code === 0 && count('total') === 0 ? 1 : code ?? 1
})

/** Returns the files to run: those that stay alone, and those that load several others. */
function allTests () {
  const files = readdirSync(tests, { recursive: true })
    .filter(path => path.endsWith('.test.js') && !(isQuick && isIn(slow, path)))
    .sort()
  const together = files.filter(path => !isIn(alone, path))
  rmSync(groups, { recursive: true, force: true })
  mkdirSync(groups)
  const grouped = [...new Set(together.map(dirname))].flatMap(folder =>
    writeGroups(folder, together.filter(path => dirname(path) === folder))
  )
  return [...files.filter(path => isIn(alone, path)).map(path => join(tests, path)), ...grouped]
}

/** Writes the files that load the test files of a folder, and returns them. */
function writeGroups (folder, paths) {
  const name = folder === '.' ? 'test' : folder.replaceAll(sep, '-')
  return Array.from({ length: Math.ceil(paths.length / maxInGroup) }, (_, index) => {
    const group = join(groups, `${name}-${index + 1}.test.js`)
    const inGroup = paths.slice(index * maxInGroup, (index + 1) * maxInGroup)
    writeFileSync(group, inGroup.map(path => `import '../test/${path.replaceAll(sep, '/')}'\n`).join(''))
    return group
  })
}

function isIn (places, path) {
  return places.includes(path.split(sep)[0])
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

/**
 * Returns the setting that puts the databases of tests into memory, if the system has a folder for that with enough
 * space. To copy and remove a database takes a third of the time there.
 */
function fastFolder () {
  const folder = '/dev/shm'
  try {
    const { bavail, bsize } = statfsSync(folder)
    accessSync(folder, constants.W_OK)
    return bavail * bsize > 4 * 2 ** 30 && process.env['TMPDIR'] === undefined ? { TMPDIR: folder } : {}
  } catch {
    return {}
  }
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
