import t from 'tap'
import type { Deadlines } from '../faults/history/checker.ts'
import { emptyHistory, type Operation } from '../faults/history/operations.ts'
import { findUpgradeViolations, type UpgradeHistory } from './checker.ts'

const bounds: Deadlines = { blocklistDeadlineMs: 1_000, databaseDeadlineMs: 1_000, marginMs: 1_000 }

let count = 0
/** Returns a request that took from one instant to 10 ms later. */
function operation (startedAt: number, changes: Partial<Operation>): Operation {
  return {
    number: ++count,
    kind: 'request',
    route: 'GET /token',
    client: 'ada',
    replica: 'new',
    startedAt,
    endedAt: startedAt + 10,
    status: 200,
    error: undefined,
    ends: [],
    ...changes
  }
}

const token = { session: 'one', token: 'one-1', kid: 'key' }
const signIn = operation(0, {
  kind: 'sign-in', route: 'POST /login', issued: { session: 'one', token: 'one-1', refreshToken: 'r1' }
})
const refused = (startedAt: number) => operation(startedAt, { ...token, status: 401, error: 'token_revoked' })
const unavailable = (startedAt: number, replica: string) =>
  operation(startedAt, { ...token, replica, status: 503, error: 'revocation_unavailable' })

/** Returns the kinds of the violations in a history. */
function kindsOf (operations: Operation[], outdated: UpgradeHistory['outdated'] = []): string[] {
  const history = { ...emptyHistory(), operations, outdated }
  return [...new Set(findUpgradeViolations(history, bounds).map(({ kind }) => kind))]
}

t.test('the refusal of a good token is a violation, unless a request that may end it was sent before', async t => {
  t.same(kindsOf([signIn, refused(100)]), ['good refused'])
  const ends = { kind: 'ending', route: 'POST /logout', status: 503, error: 'revocation_unavailable' } as const
  const outdated = [{ replica: 'old', from: 0, knownFrom: 0 }]
  const unconfirmed = operation(50, { ...ends, replica: 'old', ends: ['one'] })
  t.same(kindsOf([signIn, unconfirmed, refused(100)], outdated), [])
  t.same(kindsOf([signIn, operation(50, { ...ends, replica: 'old', ends: ['two'] }), refused(100)], outdated), [
    'good refused'
  ])
  const later = operation(200, { kind: 'ending', route: 'POST /logout', ends: ['one'] })
  t.same(kindsOf([signIn, refused(100), later]), ['good refused'])
})

t.test('everyone out, a login that ends others, a compromised key and a reused token may end a session', async t => {
  const act = (changes: Partial<Operation>) => operation(50, { route: 'POST /revocations', kind: 'ending', ...changes })
  const login = (client: string) => act({ route: 'POST /login', client, alsoEnds: { client } })
  t.same(kindsOf([signIn, act({ alsoEnds: 'everyone' }), refused(100)]), [])
  t.same(kindsOf([signIn, login('ada'), refused(100)]), [])
  t.same(kindsOf([signIn, login('bob'), refused(100)]), ['good refused'])
  const retire = (kid: string) =>
    operation(50, { route: 'POST /keys/{kid}/retire', client: 'operator', compromises: kid })
  t.same(kindsOf([signIn, retire('key'), refused(100)]), [])
  t.same(kindsOf([signIn, retire('other'), refused(100)]), ['good refused'])
  const refresh = (startedAt: number, changes: Partial<Operation> = {}) =>
    operation(startedAt, {
      kind: 'refresh', route: 'POST /refresh', session: 'one', refreshToken: 'r1', ends: ['one'], ...changes
    })
  t.same(kindsOf([signIn, refresh(50), refused(100)]), ['good refused'], 'one refresh ends no session')
  t.same(kindsOf([signIn, refresh(50), refresh(70), refused(100)]), [])
})

t.test('the refusal of a right password is a violation, and that of a wrong one is not', async t => {
  const refusal = { route: 'POST /login', status: 401, error: 'invalid_credentials' } as const
  t.same(kindsOf([operation(0, { ...refusal, kind: 'sign-in' })]), ['good refused'])
  t.same(kindsOf([operation(0, { ...refusal, kind: 'request' })]), [])
})

t.test('503 is a violation, unless the replica does not know the format, or may have deleted the marker', async t => {
  const outdated = [{ replica: 'old', from: 100, knownFrom: 200 }]
  t.same(kindsOf([unavailable(50, 'old')]), ['unavailable'])
  t.same(kindsOf([unavailable(50, 'old')], outdated), ['unavailable'])
  t.same(kindsOf([unavailable(150, 'old')], outdated), [])
  t.same(kindsOf([unavailable(150, 'new')], outdated), ['unavailable'])
  const logout = operation(120, { kind: 'ending', route: 'POST /logout', replica: 'old', ends: ['two'] })
  t.same(kindsOf([logout, unavailable(150, 'new')], outdated), [])
  t.same(kindsOf([logout, unavailable(9_000, 'new')], outdated), ['unavailable'])
})

t.test('a token that is accepted by a replica that does not know the format, and no answer, are violations', async t => {
  const outdated = [{ replica: 'old', from: 100, knownFrom: 200 }]
  t.same(kindsOf([operation(150, { ...token, replica: 'old' })], outdated), [])
  t.same(kindsOf([operation(250, { ...token, replica: 'old' })], outdated), ['format overlooked'])
  t.same(kindsOf([operation(250, { ...token, replica: 'new' })], outdated), [])
  t.match(kindsOf([operation(0, { status: undefined, error: 'ECONNRESET' })]), ['not documented', 'unanswered'])
})

t.test('503 is right while a request is under way that ends the session, and not before or afterwards', async t => {
  const logout = operation(50, { kind: 'ending', route: 'POST /logout', ends: ['one'] })
  for (const [startedAt, kinds] of [[30, ['unavailable']], [45, []], [55, []], [61, ['unavailable']]] as const) {
    t.same(kindsOf([signIn, logout, unavailable(startedAt, 'new')]), kinds, `${startedAt}`)
  }
  const ofAnother = operation(50, { kind: 'ending', route: 'POST /logout', ends: ['two'] })
  t.same(kindsOf([signIn, ofAnother, unavailable(55, 'new')]), ['unavailable'])
})
