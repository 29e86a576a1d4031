import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ServicesError } from '../../scripts/services/programs.ts'
import { packageRoot } from '../../src/package-root.ts'
import { interrupt } from './processes.ts'
import { formatReport, type BenchResult } from './report.ts'
import { startRedis } from './redis.ts'
import { compareSizes, compareVariants, measureMemory, measureReplay, measureService, type ComparedVariant, type Effort } from './scenes.ts'
import { algorithms, type Algorithm } from './tokens.ts'
import { variants, type VariantName } from './variants.ts'

const parts = ['variants', 'sizes', 'memory', 'service', 'replay'] as const
const document = join(packageRoot, 'docs', 'benchmarks.md')
const [begin, end] = ['<!-- What follows is written by `npm run bench -- --write`. -->', '<!-- What precedes is written by `npm run bench -- --write`. -->']

const help = `Usage: npm run bench -- [OPTIONS]

Measures what the check costs: processor time for a request, of the server process and of Redis, for several ways of
checking, in turn. Needs a redis-server; the parts service and replay also the Postgres of \`npm run services\`. The result
is printed as tables and written to .bench/ as JSON. All of it takes about 13 minutes, --quick about 2.

  --quick              fewer rounds, connections and entries: a first look, not a result
  --rounds N           how often each is measured (9; 3 with --quick)
  --seconds S          for how long each time (1; 0.5 with --quick)
  --only PARTS         some of ${parts.join(',')}
  --connections LIST   some numbers instead of 1,10,50,200
  --algorithms LIST    some of ${algorithms.join(',')}
  --variants LIST      some of ${Object.keys(variants).join(',')}
  --build NAME=FOLDER  another compiled signout beside this one, to see what a change is worth; may be repeated
  --write              put the tables into docs/benchmarks.md
  --help               print this
`

/** What is wrong with how it was called. */
class UsageError extends Error {}

interface Plan {
  isQuick: boolean
  parts: string[]
  connections: number[]
  algorithms: Algorithm[]
  compared: ComparedVariant[]
  effort: Effort
  isWritten: boolean
}

function readPlan (): Plan | undefined {
  const { values } = parse()
  if (values.help === true) return undefined
  const isQuick = values.quick === true
  const list = (name: 'only' | 'algorithms' | 'variants', known: readonly string[]): string[] => {
    const chosen = values[name]?.split(',') ?? [...known]
    const unknown = chosen.find(each => !known.includes(each))
    if (unknown !== undefined) throw new UsageError(`--${name}: ${unknown} is none of ${known.join(', ')}.`)
    return chosen
  }
  const number = (name: string, text: string, isGood: (value: number) => boolean): number => {
    if (!isGood(Number(text))) throw new UsageError(`--${name}: ${text} is no number that it can be.`)
    return Number(text)
  }
  const isCount = (value: number) => Number.isInteger(value) && value >= 1 && value <= 1_000
  return {
    isQuick,
    parts: list('only', parts),
    connections: (values.connections ?? (isQuick ? '1,50' : '1,10,50,200')).split(',').map(text => number('connections', text, isCount)),
    algorithms: list('algorithms', algorithms).slice(0, isQuick && values.algorithms === undefined ? 1 : undefined) as Algorithm[],
    compared: [
      ...list('variants', Object.keys(variants)).map(name => ({ name, variant: name as VariantName })),
      ...(values.build ?? []).map(readBuild)
    ],
    effort: {
      rounds: number('rounds', values.rounds ?? (isQuick ? '3' : '9'), isCount),
      seconds: number('seconds', values.seconds ?? (isQuick ? '0.5' : '1'), value => value > 0 && value <= 60),
      say: line => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`)
    },
    isWritten: values.write === true
  }
}

function parse () {
  try {
    const text = { type: 'string' } as const
    const flag = { type: 'boolean' } as const
    return parseArgs({ options: { quick: flag, rounds: text, seconds: text, only: text, connections: text, algorithms: text, variants: text, build: { type: 'string', multiple: true }, write: flag, help: flag } })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function readBuild (text: string): ComparedVariant {
  const [, name, folder] = /^([\w.-]+)=(.+)$/.exec(text) ?? []
  if (name === undefined || folder === undefined || name in variants) throw new UsageError(`--build: ${text} is not NAME=FOLDER with a name of its own.`)
  return { name, variant: 'signout', build: resolve(folder) }
}

async function run (plan: Plan): Promise<BenchResult> {
  const { isQuick, effort, compared } = plan
  const has = (part: typeof parts[number]) => plan.parts.includes(part)
  const [before = NaN] = loadavg()
  const result: BenchResult = {
    startedAt: new Date().toISOString(),
    command: ['npm run bench --', ...process.argv.slice(2)].join(' ').replace(/ --$/, ''),
    rounds: effort.rounds,
    secondsEach: effort.seconds,
    redisVersion: await readRedisVersion(),
    loadAverage: [before, before],
    cells: has('variants') ? await compareVariants(compared, plan.algorithms, plan.connections, effort) : []
  }
  if (has('sizes')) result.sizes = await compareSizes(isQuick ? [0, 100_000] : [0, 100_000, 1_000_000, 5_000_000], effort)
  if (has('memory')) result.bytesPerLogout = await measureMemory(isQuick ? 20_000 : 200_000, effort)
  if (has('service')) result.service = await measureService(effort)
  if (has('replay')) result.replay = await measureReplay(isQuick ? 100_000 : 1_000_000, isQuick ? 1 : 3, effort)
  result.loadAverage[1] = loadavg()[0] ?? NaN
  return result
}

async function readRedisVersion (): Promise<string> {
  const redis = await startRedis()
  const [, version = 'unknown'] = /redis_version:(\S+)/.exec(await redis.admin.info('server')) ?? []
  await redis.stop()
  return version
}

function write (report: string): void {
  const text = readFileSync(document, 'utf8')
  const [head, rest] = text.split(begin)
  const tail = rest?.split(end)[1]
  if (head === undefined || tail === undefined) throw new UsageError('docs/benchmarks.md has lost the lines between which the tables are written.')
  writeFileSync(document, `${head}${begin}\n\n${report}\n\n${end}${tail}`)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, interrupt)

try {
  const plan = readPlan()
  if (plan === undefined) {
    process.stdout.write(help)
  } else {
    const result = await run(plan)
    const folder = join(packageRoot, '.bench')
    mkdirSync(folder, { recursive: true })
    const file = join(folder, `${result.startedAt.replaceAll(':', '-')}.json`)
    writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`)
    const report = formatReport(result)
    if (plan.isWritten) write(report)
    process.stdout.write(`${report}\n\nWritten to ${file}.\n`)
  }
} catch (error) {
  if (!(error instanceof UsageError || error instanceof ServicesError)) throw error
  process.stderr.write(`${error.message}\n${error instanceof UsageError ? `\n${help}` : ''}`)
  process.exitCode = 1
}
