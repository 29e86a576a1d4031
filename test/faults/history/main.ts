import { randomInt } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { Command, InvalidArgumentError } from 'commander'
import { describeRun, describeViolations } from './report.ts'
import { runFaults } from './run.ts'

const maxMinutes = 1_440

function toMinutes (text: string): number {
  const minutes = Number(text)
  if (!(minutes > 0 && minutes <= maxMinutes)) {
    throw new InvalidArgumentError(`It must be a number above 0 and up to ${maxMinutes}.`)
  }
  return minutes
}

function toSeed (text: string): number {
  const seed = Number(text)
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 31) {
    throw new InvalidArgumentError(`It must be a whole number from 0 to ${2 ** 31 - 1}.`)
  }
  return seed
}

const say = (line: string) => { process.stdout.write(`${line}\n`) }

const program = new Command('npm run faults --')
  .description(
    `Runs several replicas of the service and several clients for a while, lets things fail at random, and checks every answer
that any client got against every other. Needs \`npm run services\`. Exits with 1 when a promise was broken.`
  )
  .option('--minutes <number>', 'for how long', toMinutes, 1)
  .option(
    '--seed <number>',
    'what to draw: the same faults in the same order, and the same wishes of clients',
    toSeed,
    randomInt(2 ** 31)
  )
  .option('--logs <folder>', 'where to put what the replicas log')
  .action(async ({ minutes, seed, logs: logFolder }: { minutes: number, seed: number, logs?: string }) => {
    if (logFolder !== undefined) mkdirSync(logFolder, { recursive: true })
    const run = await runFaults({ seed, seconds: minutes * 60, logFolder, say })
    for (const line of [...describeRun(run), ...describeViolations(run.violations, run.history)]) say(line)
    say(
      `seed ${seed}: ${run.violations.length === 0 ? 'no promise was broken' : `${run.violations.length} violations`}`
    )
    process.exitCode = run.violations.length === 0 ? 0 : 1
  })

await program.parseAsync()
// Left to end on its own, Node may close handles for ever (nodejs/node#47748).
process.on('beforeExit', () => { process.exit() })
