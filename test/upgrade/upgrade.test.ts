import { randomInt } from 'node:crypto'
import t, { type Test } from 'tap'
import { isConfirmedEnding, wasAccepted, type History, type Operation } from '../faults/history/operations.ts'
import { describeAnswers, describeViolations } from '../faults/history/report.ts'
import { presentBuild, previousBuild, readDescription, withNextFormat, type Build } from './build.ts'
import { upgradeViolationKinds } from './checker.ts'
import { runUpgrade, type UpgradeRun } from './run.ts'

/** Repeats the wishes of the clients, but not the timing of the machine. */
const seed = process.env['SEED'] ? Number(process.env['SEED']) : randomInt(2 ** 31)

/** Little, because other tests run at the same time. `npm run upgrade` has more. */
const load = { people: 2, thinkMs: 200 }

/** A kind of operation that a run must have shown so often: a run without requests would pass as well. */
interface Expected {
  what: string
  times: number
  matches: (operation: Operation) => boolean
}

const countIn = ({ operations }: History, { matches }: Expected) => operations.filter(matches).length

/** Asserts that no promise was broken, and that the run has shown enough. */
async function expectNoViolation (
  t: Test, previous: Build, next: Build, expected: Expected[]
): Promise<UpgradeRun> {
  const isEnough = (history: History) => expected.every(one => countIn(history, one) >= one.times)
  const say = (line: string) => { t.comment(line) }
  const run = await runUpgrade({ previous, next, seed, stageMs: 200, load, isEnough, say })
  for (const line of describeAnswers(run.history)) t.comment(line)
  const said = describeViolations(run.violations, run.history, upgradeViolationKinds)
  if (said.length > 0) said.push(...run.replicas.flatMap(({ name, warnings }) => [`${name} said:`, ...warnings()]))
  t.same(said, [])
  for (const one of expected) expectSeen(t, run, one)
  return run
}

function expectSeen (t: Test, { history }: UpgradeRun, expected: Expected): void {
  const count = countIn(history, expected)
  t.ok(count >= expected.times, `${expected.what}: ${count} of at least ${expected.times}`)
}

const hasSucceeded = (expected: string) => ({ route, status }: Operation) =>
  route === expected && status !== undefined && status < 300

t.test(`P1 to P4: replicas of the previous build and of this one serve together (SEED=${seed})`, async t => {
  const [previous, present] = [previousBuild(t), presentBuild()]
  t.equal(previous.recordFormat, readDescription().recordFormat)
  // Builds of different formats do not share tokens, so no replica uses what one of the other build has made.
  const ofCrossing = previous.recordFormat === present.recordFormat ? ['POST /register'] : []
  const routes = ['POST /keys/rotate', 'POST /keys/{kid}/retire', 'PUT /users/{id}/role', ...ofCrossing]
  await expectNoViolation(t, previous, present, [
    { what: 'tokens were accepted', times: 100, matches: wasAccepted },
    { what: 'endings were confirmed', times: 15, matches: isConfirmedEnding },
    { what: 'tokens were refused', times: 30, matches: ({ error }) => error === 'token_revoked' },
    ...routes.map(route => ({ what: `${route} succeeded`, times: 1, matches: hasSucceeded(route) })),
    {
      what: 'everyone was sent out',
      times: 1,
      matches: ({ alsoEnds, status }) => alsoEnds === 'everyone' && status === 200
    }
  ])
})

t.test(`P2: a replica that does not know the format answers 503 beside one that does (SEED=${seed})`, async t => {
  const present = presentBuild()
  const run = await expectNoViolation(t, present, withNextFormat(t, present), [
    { what: 'endings were confirmed', times: 10, matches: isConfirmedEnding }
  ])
  const { outdated } = run.history
  t.equal(outdated.length, 2, 'one replica before, and one afterwards')
  for (const { replica, knownFrom } of outdated) {
    expectSeen(t, run, {
      what: `${replica} answered 503`,
      times: 1,
      matches: operation => operation.replica === replica && operation.startedAt > knownFrom &&
        operation.error === 'revocation_unavailable'
    })
  }
})
