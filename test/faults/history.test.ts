import { randomInt } from 'node:crypto'
import t from 'tap'
import { inForm } from '../support/form.ts'
import { findSuperseded } from './history/checker.ts'
import { faults } from './history/faults.ts'
import { wasAccepted, isConfirmedEnding, type Operation } from './history/operations.ts'
import { describeRun, describeViolations } from './history/report.ts'
import { runFaults, type Run } from './history/run.ts'

/** Repeats a run: the draws are the same, but not the timing of the machine. */
const seed = process.env['SEED'] ? Number(process.env['SEED']) : randomInt(2 ** 31)
const seconds = inForm({ short: 10, long: 60 })

/** How often each must have been seen: a run without requests or faults would pass as well. */
const needed: Array<{ what: string, times: number, count: (run: Run) => number }> = [
  { what: 'tokens were accepted', times: 200, count: countOf(wasAccepted) },
  { what: 'endings were confirmed', times: 50, count: countOf(isConfirmedEnding) },
  {
    what: 'endings were not confirmed',
    times: 5,
    count: countOf(({ kind, error }) => kind === 'ending' && error === 'revocation_unavailable')
  },
  { what: 'tokens were refused', times: 200, count: countOf(({ error }) => error === 'token_revoked') },
  { what: 'pairs were superseded', times: 1, count: ({ history }) => findSuperseded(history).length },
  {
    what: 'everyone was sent out',
    times: 2,
    count: countOf(({ route, kind, status, ends }) =>
      route === 'POST /revocations' && kind === 'ending' && status === 200 && ends.length > 1)
  },
  { what: 'keys were rotated', times: 1, count: countOf(hasSucceeded('POST /keys/rotate')) },
  { what: 'compromised keys were retired', times: 1, count: countOf(hasSucceeded('POST /keys/{kid}/retire')) },
  { what: 'tokens expired', times: 20, count: countOf(({ error }) => error === 'token_expired') },
  {
    what: 'faults happened',
    times: 5,
    count: ({ injected }) => [...injected.values()].reduce((sum, { times }) => sum + times, 0)
  }
]

function countOf (matches: (operation: Operation) => boolean): (run: Run) => number {
  return ({ history: { operations } }) => operations.filter(matches).length
}

function hasSucceeded (expected: string): (operation: Operation) => boolean {
  return ({ route, status }) => route === expected && status === 200
}

t.test(`P1 to P4: ${seconds} seconds of random faults, and no answer breaks a promise (SEED=${seed})`, async t => {
  const run = await runFaults({
    seed,
    seconds,
    // The machine may do other work too.
    marginMs: 10_000,
    isEnough: run => needed.every(({ times, count }) => count(run) >= times),
    say: line => { t.comment(line) }
  })
  for (const line of describeRun(run)) t.comment(line)
  t.same(describeViolations(run.violations, run.history), [])
  for (const { what, times, count } of needed) t.ok(count(run) >= times, `${what} at least ${times} times`)
  t.ok([...run.injected.keys()].every(title => faults.some(fault => fault.title === title)))
})
