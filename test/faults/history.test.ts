import { randomInt } from 'node:crypto'
import t from 'tap'
import { faults } from './history/faults.ts'
import { isAccepted, isConfirmedEnding } from './history/operations.ts'
import { describeRun, describeViolations } from './history/report.ts'
import { runFaults } from './history/run.ts'

/** Repeats a run: the draws are the same, but not the timing of the machine. */
const seed = process.env['SEED'] ? Number(process.env['SEED']) : randomInt(2 ** 31)
const seconds = 60

t.test(`P1 to P4: ${seconds} seconds of random faults, and no answer breaks a promise (SEED=${seed})`, async t => {
  const run = await runFaults({ seed, seconds, say: line => { t.comment(line) } })
  const { history: { operations }, injected, violations } = run
  for (const line of describeRun(run)) t.comment(line)
  t.same(describeViolations(violations, run.history), [])
  // A run without requests or faults would pass as well.
  t.ok(operations.filter(isAccepted).length > 200, 'tokens were accepted')
  t.ok(operations.filter(isConfirmedEnding).length > 50, 'endings were confirmed')
  t.ok(
    operations.filter(({ kind, error }) => kind === 'ending' && error === 'revocation_unavailable').length > 5,
    'and others were not'
  )
  t.ok(operations.filter(({ error }) => error === 'token_revoked').length > 200, 'tokens were refused')
  t.ok(operations.filter(({ error }) => error === 'token_expired').length > 50, 'and expired')
  t.ok([...injected.values()].reduce((sum, { times }) => sum + times, 0) >= 5, 'faults happened')
  t.ok([...injected.keys()].every(title => faults.some(fault => fault.title === title)))
})
