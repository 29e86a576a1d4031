import t, { type Test } from 'tap'
import { asking, chained, type Protocol } from './protocol.ts'
import { findNoRecovery } from './recover.ts'
import { search, type Found } from './search.ts'
import type { Bounds } from './state.ts'

/** Together they take some ten seconds of one core; each fault that is added multiplies them by four or more. */
const wide: Bounds = { logouts: 2, projectors: 2, redisFaults: 1, postgresFaults: 0 }
const searches: Bounds[] = [
  wide,
  { logouts: 2, projectors: 1, redisFaults: 2, postgresFaults: 0 },
  { logouts: 3, projectors: 1, redisFaults: 1, postgresFaults: 0 }
]
const withPostgres: Bounds = { logouts: 2, projectors: 1, redisFaults: 1, postgresFaults: 1 }
const withEvictions: Bounds = { logouts: 2, projectors: 1, redisFaults: 1, postgresFaults: 0, evictions: 1 }

const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`
const describe = ({ logouts, projectors, redisFaults, postgresFaults, evictions = 0 }: Bounds) =>
  `${count(logouts, 'logout')}, ${count(projectors, 'projector')}, ${count(redisFaults, 'fault')} of Redis, ${count(evictions, 'eviction')} and ${count(postgresFaults, 'restored backup')} of Postgres`

function expectNoViolation (t: Test, protocol: Protocol, bounds: Bounds): Found {
  const found = search(protocol, bounds, 50)
  const { states, counts, trace, samples } = found
  t.equal(trace?.join('\n'), undefined)
  t.comment(`${states} states; ${Object.entries(counts).map(([note, count]) => `${note}: ${count}`).join(', ')}`)
  // A protocol that does nothing breaks nothing, so each of these events has to have happened.
  for (const note of [
    'logouts answered 200', 'commands executed late', 'rebuilds', 'unrevoked tokens accepted',
    'revoked tokens refused', 'look-ups refused (503)', 'faults of Redis'
  ] as const) {
    t.ok(counts[note] > 100, note)
  }
  if (bounds.projectors > 1) t.ok(counts['scripts refused'] > 100, 'scripts refused')
  if (bounds.postgresFaults > 0) {
    t.ok(counts['new record ids'] > 100 && counts['Postgres restored'] > 100, 'new record ids')
  }
  if (bounds.evictions !== undefined) t.ok(counts['evictions'] > 100, 'evictions')
  t.ok(samples.length > 100)
  t.same(
    samples.map(state => findNoRecovery(state, protocol)).filter(wrong => wrong !== undefined),
    [],
    'and it recovers from every state that was tried'
  )
  return found
}

for (const bounds of searches) {
  t.test(`no revoked token is accepted (P1, P2), with ${describe(bounds)}`, async t => {
    expectNoViolation(t, chained, bounds)
  })
}

/**
 * With look-ups that ask the record when the marker is behind. They read from Redis, or from an old primary that
 * still answers.
 */
for (const bounds of [withPostgres, withEvictions]) {
  t.test(`no revoked token is accepted (P1, P2) if look-ups ask the record too, with ${describe(bounds)}`, async t => {
    const { counts } = expectNoViolation(t, { ...chained, asking }, bounds)
    t.ok(counts['look-ups confirmed by the record'] > 100)
  })
}

t.test(`no token is accepted after everyone was sent out (P1, P2), with ${describe(wide)}`, async t => {
  expectNoViolation(t, { ...chained, everyone: 'greatest' }, wide)
})

const parts: [what: string, protocol: Protocol, bounds: Bounds][] = [
  ['the barrier', { ...chained, barrier: false }, wide],
  ['the check in every script', { ...chained, checks: false }, wide],
  ['the draft before the head is read', { ...chained, drafts: false }, wide],
  ['the progress in the draft', { ...chained, tellsProgress: false }, wide],
  ['the comparison after a reconnect', { ...chained, comparesAfterReconnect: false }, wide],
  ['the record id', { ...chained, recordId: false }, withPostgres],
  ['the record of what will be marked', { ...chained, recordsMarks: false }, withPostgres],
  ['the note of what was evicted', { ...chained, notesEvictions: false }, withEvictions],
  ['the rule that an instant of everyone is never replaced by an earlier one', { ...chained, everyone: 'last' }, wide],
  ['the rule that only the projector moves the marker', { ...chained, writersMove: true }, wide],
  [
    'the rule that the record is asked after the look-up', { ...chained, asking: { ...asking, asksAfter: false } }, wide
  ],
  [
    'the rule that it is asked from the marker, not from the last row',
    { ...chained, asking: { ...asking, fromMarker: false } },
    wide
  ],
  [
    'the rule that what stands there during a rebuild is no marker',
    { ...chained, asking: { ...asking, onlyMarkers: false } },
    withPostgres
  ],
  [
    'the comparison of a marker that is behind with what was marked',
    { ...chained, asking: { ...asking, comparesMarked: false } },
    withPostgres
  ]
]

for (const [what, protocol, bounds] of parts) {
  t.test(`the model accepts a revoked token without ${what}`, async t => {
    const { states, trace = [] } = search(protocol, bounds)
    t.match(trace.at(-1), /the token that logout \d ended is accepted$/)
    t.comment(`after ${states} states:\n${trace.map((step, index) => `${index + 1}. ${step}`).join('\n')}`)
  })
}
