import { randomInt } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { Command } from 'commander'
import { toMinutes, toSeed } from '../faults/history/options.ts'
import { describeAnswers, describeViolations } from '../faults/history/report.ts'
import { createOwner } from '../support/teardown.ts'
import { presentBuild, previousBuild, readDescription, withNextFormat } from './build.ts'
import { upgradeViolationKinds } from './checker.ts'
import { runUpgrade, type UpgradeRun } from './run.ts'

interface Options {
  minutes: number
  seed: number
  logs?: string
  json?: true
}

const stageMs = 4_000
const program = new Command('npm run upgrade --')
  .description([
    'Upgrades replicas under load from the previous build to the present one and back, against one Postgres and one Redis.',
    'Checks every answer against every other. Then upgrades the present build to one of the next format of the record.',
    'Repeats both until the time is over. Needs `npm run services`. Exits with 1 when a promise was broken.'
  ].join(' '))
  .option('--minutes <number>', 'for how long; the upgrade that is under way is finished', toMinutes, 2)
  .option('--seed <number>', 'what to draw: the same wishes of clients', toSeed, randomInt(2 ** 31))
  .option('--logs <folder>', 'where to put what the replicas log')
  .option('--json', 'print the result as JSON, and nothing else')
  .action(upgrade)

async function upgrade ({ minutes, seed, logs: logFolder, json }: Options): Promise<void> {
  const say = (line: string) => { if (json === undefined) process.stdout.write(`${line}\n`) }
  if (logFolder !== undefined) mkdirSync(logFolder, { recursive: true })
  const owner = createOwner()
  const results: Array<{ title: string, run: UpgradeRun }> = []
  try {
    const [previous, present] = [previousBuild(owner), presentBuild()]
    const upgrades = [[previous, present], [present, withNextFormat(owner, present)]] as const
    const { version, commit } = readDescription()
    say(`seed ${seed}; the previous build is version ${version} at ${commit}`)
    const startedAt = performance.now()
    for (let turn = 0; turn < upgrades.length || performance.now() < startedAt + minutes * 60_000; turn++) {
      const [from, to] = upgrades[turn % upgrades.length] as (typeof upgrades)[number]
      const title = `from the ${from.name} build to the ${to.name} build`
      say(`Upgrade ${turn + 1}, ${title}`)
      const run = await runUpgrade({ previous: from, next: to, seed: (seed + turn) % 2 ** 31, stageMs, logFolder, say })
      results.push({ title, run })
      for (const line of describeAnswers(run.history)) say(line)
      for (const line of describeViolations(run.violations, run.history, upgradeViolationKinds)) say(line)
      if (run.violations.length > 0) break
    }
  } finally {
    await owner.close()
  }
  const violations = results.flatMap(({ run }) => run.violations)
  say(`seed ${seed}: ${violations.length === 0 ? 'no promise was broken' : `${violations.length} violations`}`)
  if (json) process.stdout.write(`${JSON.stringify(toReport(seed, results), null, 2)}\n`)
  process.exitCode = violations.length === 0 ? 0 : 1
}

function toReport (seed: number, results: Array<{ title: string, run: UpgradeRun }>) {
  return {
    seed,
    previous: readDescription(),
    upgrades: results.map(({ title, run: { history, stages, violations } }) =>
      ({ title, requests: history.operations.length, stages, violations }))
  }
}

await program.parseAsync()
// Left to end on its own, Node may close handles for ever (nodejs/node#47748).
process.on('beforeExit', () => { process.exit() })
