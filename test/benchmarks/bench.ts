import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { ServicesError } from '../../scripts/services/programs.ts'
import { packageRoot } from '../../src/package-root.ts'
import { DocumentError, writeDocuments } from './documents.ts'
import { measureLog } from './log.ts'
import { measureLookups } from './lookups.ts'
import { UsageError, help, readPlan, type Part, type Plan } from './options.ts'
import { describeMachine, interrupt } from './processes.ts'
import { formatReport } from './report.ts'
import type { BenchResult } from './result.ts'
import { startRedis } from './redis.ts'
import { compareSizes, compareVariants, measureMemory, measureRebuild } from './scenes.ts'
import { measureSignatures } from './signatures.ts'
import { measureService } from './storm.ts'

async function run (plan: Plan): Promise<BenchResult> {
  const { isQuick, effort, compared } = plan
  const has = (part: Part) => plan.parts.includes(part)
  const [before = NaN] = loadavg()
  const result: BenchResult = {
    startedAt: new Date().toISOString(),
    command: ['npm run bench --', ...process.argv.slice(2)].join(' ').replace(/ --$/, ''),
    rounds: effort.rounds,
    secondsEach: effort.seconds,
    machine: describeMachine(await readRedisVersion()),
    loadAverage: [before, before],
    cells: has('variants') ? await compareVariants(compared, plan.algorithms, plan.connections, effort) : []
  }
  if (has('sizes')) {
    result.sizes = await compareSizes(isQuick ? [0, 100_000] : [0, 100_000, 1_000_000, 5_000_000], effort)
  }
  if (has('lookups')) result.lookups = await measureLookups(isQuick ? 100_000 : 1_000_000, effort)
  if (has('memory')) result.memory = await measureMemory(isQuick ? 2 ** 14 : 2 ** 17, effort)
  if (has('service')) result.service = await measureService(effort)
  if (has('log')) result.log = await measureLog(effort)
  if (has('rebuild')) result.rebuild = await measureRebuild(isQuick ? 100_000 : 1_000_000, effort)
  if (has('signatures')) result.signatures = await measureSignatures(effort)
  result.loadAverage[1] = loadavg()[0] ?? NaN
  return result
}

async function readRedisVersion (): Promise<string> {
  const redis = await startRedis()
  const [, version = 'unknown'] = /redis_version:(\S+)/.exec(await redis.admin.info('server')) ?? []
  await redis.stop()
  return version
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
    if (plan.isWritten) writeDocuments(result, plan.parts)
    process.stdout.write(`${report}\n\nWritten to ${file}.\n`)
  }
} catch (error) {
  if (!(error instanceof UsageError || error instanceof ServicesError || error instanceof DocumentError)) throw error
  process.stderr.write(`${error.message}\n${error instanceof UsageError ? `\n${help}` : ''}`)
  process.exitCode = 1
}
