import t, { type Test } from 'tap'
import { findViolations, type Violation } from './history/checker.ts'
import { bugs } from './seeded/bugs.ts'
import { loadCopy, type Patch } from './seeded/copy.ts'
import { schedules, type Schedule } from './seeded/schedules.ts'
import { startRecordedReplicas } from './seeded/recorded-replicas.ts'

/**
 * These tests show that the checker of histories can fail: it finds the mistakes in a service that was broken on
 * purpose.
 */

/** Deadlines that no answer misses: late answers do not matter here. */
const bounds = { blocklistDeadlineMs: 60_000, databaseDeadlineMs: 60_000, marginMs: 60_000 }

/**
 * Switches off one safeguard, which would hide most mistakes for a second or two. Replicas remember the rows that they
 * read with the head of the record, and refuse their tokens.
 */
const rememberNoRows: Patch = {
  file: 'src/trust/head-poll.ts', find: 'recent = byEntry(found)', replace: 'recent = new Map()'
}

/**
 * The number of attempts to show a bug. On a busy machine, a schedule may miss the moment in which the bug shows, such
 * as the two seconds in which a token is good.
 */
const attempts = 3

const asItIs = await loadCopy(t, [])

async function judge (t: Test, { settings = {}, run }: Schedule, service = asItIs): Promise<Violation[]> {
  const replicas = await startRecordedReplicas(t, service, settings)
  await run(replicas)
  return findViolations(replicas.recorder.history, bounds)
}

for (const [name, schedule] of Object.entries(schedules)) {
  t.test(`the service as it is: ${name}`, async t => {
    t.same(await judge(t, schedule), [])
  })
}

for (const { title, patch, schedule, finds } of bugs) {
  t.test(`a service in which ${title} is caught: ${schedule}`, async t => {
    const service = await loadCopy(t, [patch, rememberNoRows])
    const violations: Violation[] = []
    const isCaught = () => violations.some(({ kind }) => kind === finds)
    for (let attempt = 0; attempt < attempts && !isCaught(); attempt++) {
      violations.push(...await judge(t, schedules[schedule], service))
    }
    t.ok(isCaught(), violations.map(({ kind, text }) => `${kind}: ${text}`).join('; '))
  })
}

t.test('every schedule shows some bug', async t => {
  t.same(Object.keys(schedules).filter(name => !bugs.some(({ schedule }) => schedule === name)), [])
})
