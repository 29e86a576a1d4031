import { mkdirSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { CommanderError } from 'commander'
import { colored } from '../src/cli/terminal.ts'
import { LoadError } from './load/failure.ts'
import { parseOptions, type LoadOptions } from './load/options.ts'
import { startOwnDeployment } from './load/own-deployment.ts'
import { createProgress, type Progress } from './load/progress.ts'
import type { Report } from './load/report.ts'
import { htmlOf } from './load/report-html.ts'
import { runLoad } from './load/run.ts'
import { printSummary } from './load/summary.ts'
import { closeTargets, openTargets } from './load/targets.ts'
import { ServicesError } from './services/programs.ts'

// The first Ctrl-C ends the load, the next what follows it as well: the last logouts, and the deletion of the users.
const interruption = new AbortController()
const hurry = new AbortController()
/** One Ctrl-C arrives twice, from the terminal and from the parent process. */
const sameSignalMs = 1_000
let interruptedAt = Infinity
const progress = createProgress(process.stdout)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (performance.now() - interruptedAt > sameSignalMs) return hurry.abort()
    if (interruption.signal.aborted) return
    interruptedAt = performance.now()
    progress.say('Ending, with a report of what there is so far.')
    interruption.abort()
  })
}
// Whoever reads the output may stop reading, as `head` does.
process.stdout.on('error', error => { if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error })

process.exitCode = await main(process.argv.slice(2))

/** Answers the exit code: 0 without a violation, 1 with one, 2 when nothing was measured. */
async function main (args: string[]): Promise<number> {
  try {
    const options = parseOptions(args)
    const report = await measure(options, progress)
    printSummary(report, text => { process.stdout.write(`${text}\n`) })
    for (const file of write(report, options.outputDir)) process.stdout.write(`${relative(process.cwd(), file)}\n`)
    if (report.revocation.violationCount > 0) return 1
    if (report.totals.failed < report.totals.requests) return 0
    throw new LoadError('Every request was refused or not answered: the report says how.')
  } catch (error) {
    // Commander has said what is wrong.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (!(error instanceof LoadError || error instanceof ServicesError)) throw error
    process.stderr.write(`${colored('red', 'load:', process.stderr)} ${error.message.replaceAll(/\s+/g, ' ')}\n`)
    return 2
  }
}

async function measure (options: LoadOptions, progress: Progress): Promise<Report> {
  const own = options.targets.length > 0 ? undefined : await startOwn(options.replicas, progress)
  try {
    const targets = await openTargets(own?.urls ?? options.targets, options)
    try {
      return await runLoad({ options, targets, ownReplicas: own !== undefined, progress, signal: interruption.signal, hurry: hurry.signal })
    } finally {
      await closeTargets(targets)
    }
  } finally {
    await own?.stop()
  }
}

async function startOwn (replicas: number, progress: Progress) {
  progress.say(`Starting ${replicas} replicas, a Redis and a Postgres for this run. RATE_LIMITS=off: passwords can be guessed as fast as they can be checked, which is for a closed network only.`)
  return await startOwnDeployment(replicas, line => { progress.say(line) })
}

/** Writes the reports. Answers their files. */
function write (report: Report, folder: string): string[] {
  mkdirSync(folder, { recursive: true })
  const name = join(folder, `${report.startedAt.replace(/\.\d+Z$/, '').replaceAll(':', '-')}-${report.profile}`)
  writeFileSync(`${name}.json`, `${JSON.stringify(report, null, 2)}\n`)
  writeFileSync(`${name}.html`, htmlOf(report))
  return [`${name}.json`, `${name}.html`]
}
