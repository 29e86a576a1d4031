import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../src/package-root.ts'
import { undisturbed } from '../support/undisturbed.ts'
import { UsageError, readPlan } from './options.ts'
import type { BenchResult } from './result.ts'

const run = (program: string, args: string[]) =>
  spawnSync(...undisturbed(program, args), { cwd: packageRoot, encoding: 'utf8', timeout: 240_000 })
/** Runs the file that `npm run bench` compiles, as the tests do. */
const bench = (...args: string[]) =>
  run(process.execPath, [join('.build', 'test', 'benchmarks', 'bench.js'), ...args])

t.test('npm run bench compiles its files first, and prints its usage with --help', async t => {
  const { scripts } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  t.equal(scripts['prebench'], 'node scripts/compile.js')
  const { stdout, status } = run('npm', ['run', '-s', '--ignore-scripts', 'bench', '--', '--help'])
  t.match(stdout, /^Usage: npm run bench -- \[OPTIONS\]/)
  t.equal(status, 0)
})

t.test('npm run bench names a wrong option and exits with 1', async t => {
  const { stderr, status } = bench('--rounds', 'many')
  t.equal(stderr.split('\n')[0], '--rounds: many is no number that it can be.')
  t.equal(status, 1)
  const { argv } = process
  t.teardown(() => { process.argv = argv })
  for (const [args, line] of [
    [
      ['--only', 'everything'],
      '--only: everything is none of variants, sizes, lookups, memory, service, log, rebuild, signatures.'
    ],
    [['--write', '--quick'], /^--write: only all parts/],
    [['--write', '--only', 'memory'], /^--write: only all parts/],
    [['--write', '--rounds', '6'], /^--write: only all parts/],
    [['--write', '--only', 'signatures', '--rounds', '6'], /^--write: only all parts/],
    [['--write', '--only', 'signatures', '--quick'], /^--write: only all parts/],
    [['--build', 'elsewhere'], '--build: elsewhere is not NAME=FOLDER with a name of its own.'],
    [['--slowly'], /^Unknown option '--slowly'/]
  ] as const) {
    process.argv = [...argv.slice(0, 2), ...args]
    t.throws(readPlan, { constructor: UsageError, message: line }, args.join(' '))
  }
})

t.test('npm run bench measures, prints tables and writes a file (P7)', async t => {
  const { stdout, stderr, status } = bench(
    '--only',
    'variants,memory',
    '--rounds',
    '2',
    '--seconds',
    '0.75',
    '--connections',
    '3',
    '--algorithms',
    'EdDSA',
    '--variants',
    'open,exists,signout',
    '--quick'
  )
  t.equal(status, 0, stderr)
  const [, file = ''] = /Written to (\S+)\.$/m.exec(stdout) ?? []
  t.teardown(() => { rmSync(file, { force: true }) })
  const { cells, memory = [], sizes, machine } = JSON.parse(readFileSync(file, 'utf8')) as BenchResult
  t.same(cells.map(({ variant, connections, measurements }) => [variant, connections, measurements.length]), [
    ['open', 3, 2], ['exists', 3, 2], ['signout', 3, 2]
  ])
  for (const { variant, measurements } of cells) {
    for (const { responses, failures, cpuMicros, redisMicros, p50, p99 } of measurements) {
      t.ok(responses > 0 && failures === 0 && cpuMicros > 0 && redisMicros >= 0 && p50 > 0 && p99 >= p50, variant)
    }
  }
  for (const { logouts, bytes } of memory) t.ok(bytes > 100 && bytes < 1_000, `${bytes} bytes for each of ${logouts}`)
  t.equal(memory.length, 7)
  t.ok(machine.cores > 0)
  t.equal(sizes, undefined, 'what was not asked for is not measured')
  t.match(stdout, /^\| signout, all checks on \| [\d.]+ \([\d.]+ to [\d.]+\) \|/m)
  t.match(stdout, /^\| Redis memory per logout.*\| at most 300 bytes \| \d+ \(\d+ to \d+\) bytes \|/m)
  t.match(
    stdout,
    /^\| 1000000 revocations written.*\| not measured \| \*\*no\*\* \|$/m,
    'what was not measured is not reached'
  )
})
