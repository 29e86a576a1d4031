import { randomInt } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { Command } from 'commander'
import { toMinutes, toSeed } from './options.ts'
import { describeRun, describeViolations } from './report.ts'
import { runFaults } from './run.ts'

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
