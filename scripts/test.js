// Runs the tests and ends with one line, `N passed, N failed`, that people and programs can read. It fails when a test
// failed, and when none ran. In a terminal the report is tap's own; elsewhere it is a line for each file, and whatever
// failed. Arguments are handed to tap: `npm test -- test/config.test.ts`.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

const root = join(import.meta.dirname, '..')
const tapPackage = createRequire(import.meta.url).resolve('tap/package.json')
const tap = join(dirname(tapPackage), JSON.parse(readFileSync(tapPackage, 'utf8')).bin.tap)
/** The whole report, for looking things up in. */
const results = join(root, '.tap', 'results.tap')
const inTerminal = process.stdout.isTTY === true

mkdirSync(dirname(results), { recursive: true })
rmSync(results, { force: true })
const child = spawn(
  process.execPath,
  [tap, inTerminal ? `--output-file=${results}` : '--reporter=tap', ...process.argv.slice(2)],
  {
    cwd: root,
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

/**
 * Prints what is not indented, which is a line for each file and the coverage, and every failure with its diagnostics.
 */
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
