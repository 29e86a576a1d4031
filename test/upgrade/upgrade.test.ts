import { randomInt } from 'node:crypto'
import t, { type Test } from 'tap'
import { isConfirmedEnding, wasAccepted, type Operation } from '../faults/history/operations.ts'
import { describeAnswers, describeViolations } from '../faults/history/report.ts'
import { presentBuild, previousBuild, readDescription, withNextFormat, type Build } from './build.ts'
import { upgradeViolationKinds } from './checker.ts'
import { runUpgrade, type UpgradeRun } from './run.ts'

/** Repeats the wishes of the clients, but not the timing of the machine. */
const seed = process.env['SEED'] ? Number(process.env['SEED']) : randomInt(2 ** 31)

/** Little, because other tests run at the same time. `npm run upgrade` has more. */
const load = { people: 2, thinkMs: 200 }

async function expectNoViolation (t: Test, previous: Build, next: Build): Promise<UpgradeRun> {
  const run = await runUpgrade({ previous, next, seed, stageMs: 200, load, say: line => { t.comment(line) } })
  for (const line of describeAnswers(run.history)) t.comment(line)
  t.same(describeViolations(run.violations, run.history, upgradeViolationKinds), [])
  return run
}

/** Asserts that something was seen often enough: a run without requests would pass as well. */
function expectSeen (
  t: Test, { history }: UpgradeRun, what: string, times: number, matches: (operation: Operation) => boolean
): void {
  const count = history.operations.filter(matches).length
  t.ok(count >= times, `${what}: ${count} of at least ${times}`)
}

const hasSucceeded = (expected: string) => ({ route, status }: Operation) =>
  route === expected && status !== undefined && status < 300

t.test(`P1 to P4: replicas of the previous build and of this one serve together (SEED=${seed})`, async t => {
  const [previous, present] = [previousBuild(t), presentBuild()]
  t.equal(previous.recordFormat, readDescription().recordFormat)
  const run = await expectNoViolation(t, previous, present)
  expectSeen(t, run, 'tokens were accepted', 100, wasAccepted)
  expectSeen(t, run, 'endings were confirmed', 15, isConfirmedEnding)
  expectSeen(t, run, 'tokens were refused', 30, ({ error }) => error === 'token_revoked')
  // Builds of different formats do not share tokens, so no replica uses what one of the other build has made.
  const ofCrossing = previous.recordFormat === present.recordFormat ? ['POST /register'] : []
  for (const route of ['POST /keys/rotate', 'POST /keys/{kid}/retire', 'PUT /users/{id}/role', ...ofCrossing]) {
    expectSeen(t, run, `${route} succeeded`, 1, hasSucceeded(route))
  }
  expectSeen(t, run, 'everyone was sent out', 1, ({ alsoEnds, status }) => alsoEnds === 'everyone' && status === 200)
})

t.test(`P2: a replica that does not know the format answers 503 beside one that does (SEED=${seed})`, async t => {
  const present = presentBuild()
  const run = await expectNoViolation(t, present, withNextFormat(t, present))
  const { outdated } = run.history
  t.equal(outdated.length, 2, 'one replica before, and one afterwards')
  for (const { replica, knownFrom } of outdated) {
    expectSeen(t, run, `${replica} answered 503`, 1, operation =>
      operation.replica === replica && operation.startedAt > knownFrom && operation.error === 'revocation_unavailable')
  }
  expectSeen(t, run, 'endings were confirmed', 10, isConfirmedEnding)
})
