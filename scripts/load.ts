import { relative } from 'node:path'
import { CommanderError } from 'commander'
import { colored } from '../src/cli/terminal.ts'
import { LoadError } from './load/failure.ts'
import { parseOptions, type LoadOptions } from './load/options.ts'
import { outcomeOf } from './load/outcome.ts'
import { outliveReaders } from './load/output.ts'
import { startOwnDeployment } from './load/own-deployment.ts'
import { createProgress } from './load/progress.ts'
import { prepareFolder, writeReports } from './load/report-files.ts'
import type { Report } from './load/report.ts'
import { runLoad } from './load/run.ts'
import { printSummary } from './load/summary.ts'
import { closeTargets, openTargets } from './load/targets.ts'
import { ServicesError } from './services/programs.ts'

// The first Ctrl-C ends the load. The next one also skips the steps after it: the last logouts, and the deletion of
// users.
const interruption = new AbortController()
const hurry = new AbortController()
/** One Ctrl-C arrives twice, from the terminal and from the parent process. Signals within this time count as one. */
const sameSignalMs = 1_000
let interruptedAt = Infinity
/** True after an unexpected error. The measurements are then not reliable. */
let isBroken = false
outliveReaders(process.stdout)
outliveReaders(process.stderr)
const progress = createProgress(process.stdout)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (performance.now() - interruptedAt > sameSignalMs) return hurry.abort()
    if (interruptedAt < Infinity) return
    interruptedAt = performance.now()
    progress.say('Ending, with a report of what there is so far.')
    interruption.abort()
  })
}
// Node would exit with 1, which says that a token was accepted, and leave users and replicas of the run behind.
process.on('uncaughtException', error => {
  complain(error)
  isBroken = true
  interruption.abort()
})

process.exitCode = await main(process.argv.slice(2))
// Without this, Node may close handles forever (nodejs/node#47748).
process.on('beforeExit', () => { process.exit() })

/** Resolves with the exit code: 0 without a violation, 1 with one, 2 if nothing was shown. */
async function main (args: string[]): Promise<number> {
  try {
    const options = parseOptions(args)
    prepareFolder(options.outputDir)
    return await runAndReport(options)
  } catch (error) {
    // Commander has printed what is wrong.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    complain(error)
    return 2
  }
}

async function runAndReport (options: LoadOptions): Promise<number> {
  let files: string[] = []
  let unwritten: unknown
  // A full disk costs the reports, but not the rest of the run. The results are printed as well.
  const keep = (report: Report) => {
    try {
      files = writeReports(report, options.outputDir)
    } catch (error) {
      unwritten = error
    }
  }
  const report = await measure(options, keep)
  printSummary(report, text => { process.stdout.write(`${text}\n`) })
  for (const file of files) process.stdout.write(`${relative(process.cwd(), file)}\n`)
  const { exitCode, reason } = outcomeOf(report)
  if (reason !== undefined) complain(new LoadError(reason))
  if (unwritten !== undefined) complain(unwritten)
  return exitCode === 0 && (isBroken || unwritten !== undefined) ? 2 : exitCode
}

/** Prints an error: in one line if it was expected, and otherwise with its stack. */
function complain (error: unknown): void {
  const isExpected = error instanceof LoadError || error instanceof ServicesError
  const text = isExpected
    ? error.message.replaceAll(/\s+/g, ' ')
    : `This should not have happened: ${error instanceof Error ? error.stack : String(error)}`
  process.stderr.write(`${colored('red', 'load:', process.stderr)} ${text}\n`)
}

async function measure (options: LoadOptions, keep: (report: Report) => void): Promise<Report> {
  const own = options.targets.length > 0 ? undefined : await startOwn(options.replicas)
  try {
    const targets = await openTargets(own?.urls ?? options.targets, options)
    try {
      return await runLoad({
        options,
        targets,
        ownReplicas: own !== undefined,
        progress,
        signal: interruption.signal,
        hurry: hurry.signal,
        keep
      })
    } finally {
      await closeTargets(targets)
    }
  } finally {
    await own?.stop()
  }
}

async function startOwn (replicas: number) {
  progress.say(
    `Starting ${replicas} replicas, a Redis and a Postgres for this run. They run with RATE_LIMITS=off: passwords can be guessed as fast as they can be checked. Use this on a closed network only.`
  )
  return await startOwnDeployment(replicas, { say: line => { progress.say(line) }, signal: interruption.signal })
}
