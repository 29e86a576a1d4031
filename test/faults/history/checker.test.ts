import t from 'tap'
import { findViolations, type Deadlines } from './checker.ts'
import { emptyHistory, type History, type Operation } from './operations.ts'

const bounds: Deadlines = { blocklistDeadlineMs: 250, databaseDeadlineMs: 1_000, marginMs: 500 }

/** Operations of half a second, one after another, each as it is given. */
function historyOf (...given: Array<Partial<Operation> & { at?: number }>): History {
  const operations = given.map(({ at, ...operation }, index): Operation => {
    const startedAt = at ?? index * 1_000
    return {
      number: index + 1,
      kind: 'request',
      route: 'GET /token',
      client: 'ada',
      replica: 'replica 1',
      startedAt,
      endedAt: startedAt + 500,
      status: 200,
      error: undefined,
      ends: [],
      ...operation
    }
  })
  return { ...emptyHistory(), operations }
}

const kinds = (history: History) => findViolations(history, bounds).map(({ kind }) => kind)
const request = { kind: 'request', session: 's', token: 't' } as const
const logout = { kind: 'ending', route: 'POST /logout', session: 's', token: 't', ends: ['s'] } as const
const refresh = { kind: 'refresh', route: 'POST /refresh', session: 's', refreshToken: 'r', ends: ['s'] } as const
const revoked = { status: 401, error: 'token_revoked' }
const unavailable = { status: 503, error: 'revocation_unavailable' }
const next = (refreshToken: string, token = 'u') => ({ issued: { session: 's', token, refreshToken } })

t.test('a token that is accepted after the end of its compromised key was confirmed is found', async t => {
  const retire = { route: 'POST /keys/{kid}/retire', session: 'a', token: 'b', kid: 'k', compromises: 'k' } as const
  const signed = { ...request, kid: 'k' }
  t.same(kinds(historyOf(retire, signed)), ['accepted with a compromised key'])
  t.same(kinds(historyOf(retire, { ...request, kid: 'l' })), [])
  t.same(kinds(historyOf(retire, { ...signed, at: 400 })), [], 'a request that began before')
  t.same(kinds(historyOf({ ...retire, ...unavailable }, signed)), [], 'an end that was not confirmed')
})

t.test('a token that is accepted after an ending of its session was confirmed is found', async t => {
  t.same(kinds(historyOf(logout, request)), ['accepted after its end'])
  t.same(
    kinds(historyOf(logout, { ...request, token: 'another' })), ['accepted after its end'], 'any token of the session'
  )
  t.same(
    kinds(historyOf({ ...refresh, ...next('q') }, logout, { ...request, token: 'u' })),
    ['accepted after its end'],
    'one of a refresh too'
  )
  t.same(kinds(historyOf(logout, { ...refresh, ...next('q') })), ['accepted after its end'], 'and its refresh token')
  t.same(
    kinds(historyOf({ ...refresh, status: 401, error: 'refresh_token_reused' }, request)),
    ['accepted after its end'],
    'a reuse ends it'
  )
  t.same(
    kinds(historyOf({ ...refresh, ...revoked }, request)),
    ['accepted after its end'],
    'a refresh says that it has ended'
  )
  t.same(
    kinds(historyOf({ ...logout, ends: ['other', 's'], session: 'third' }, request)),
    ['accepted after its end'],
    'whoever ended it'
  )
  t.same(
    kinds(historyOf(logout, { ...logout, route: 'DELETE /me/sessions/{id}', status: 204, ends: ['other'] })),
    ['accepted after its end'],
    'to end another session is a use of it'
  )
})

t.test('a history that only looks like a violation is not reported', async t => {
  t.same(kinds(historyOf(request, logout)), [], 'before')
  t.same(kinds(historyOf(logout, { ...request, at: 499 })), [], 'at the same time')
  t.same(kinds(historyOf(logout, { ...request, session: 'other' })), [], 'another session')
  t.same(kinds(historyOf({ ...logout, ...unavailable }, request)), [], 'an ending that was not confirmed')
  t.same(
    kinds(historyOf({ ...logout, status: undefined }, request)).filter(kind => kind !== 'not documented'),
    [],
    'an ending without an answer'
  )
  t.same(
    kinds(
      historyOf(
        logout,
        { ...request, ...revoked },
        { ...request, ...unavailable },
        { ...request, status: 401, error: 'token_expired' }
      )
    ),
    [],
    'refusals'
  )
  t.same(kinds(historyOf(logout, logout)), [], 'ending it again')
  t.same(kinds(historyOf(logout, { ...logout, ends: ['other', 's'] })), [], 'and others with it')
  t.same(
    kinds(
      historyOf({ kind: 'sign-in', route: 'POST /login', ...next('r') }, logout, {
        kind: 'sign-in', route: 'POST /login', ...next('r')
      })
    ),
    [],
    'signing in again'
  )
})

t.test('a token that is accepted after it was refused is found', async t => {
  t.same(kinds(historyOf({ ...request, ...revoked }, request)), ['accepted after refused'])
  t.same(
    kinds(historyOf({ ...refresh, status: 401, error: 'refresh_token_reused' }, { ...refresh, ...next('q') })).includes(
      'accepted after refused'
    ),
    true
  )
  t.same(kinds(historyOf({ ...request, ...revoked }, { ...request, token: 'u' })), [], 'a token alone may be revoked')
  t.same(kinds(historyOf({ ...request, ...unavailable }, request)), [], '503 says nothing')
  t.same(kinds(historyOf({ ...request, ...revoked }, { ...request, at: 400 })), [], 'at the same time')
})

t.test('only a replica that reaches a replaced Redis, and its endings, are allowed five seconds', async t => {
  const partitioned = (at: number, replica = 'replica 1') => ({
    ...historyOf(logout, { ...request, at, replica }), partitions: [{ replica: 'replica 1', from: 0, until: 60_000 }]
  })
  t.same(kinds(partitioned(5_400)), [])
  t.same(kinds(partitioned(5_600)), ['accepted after its end'])
  t.same(kinds(partitioned(5_400, 'replica 2')), [], 'nor do the others know at once what it was that ended it')
  const elsewhere = {
    ...historyOf({ ...logout, replica: 'replica 2' }, { ...request, replica: 'replica 3' }),
    partitions: [{ replica: 'replica 1', from: 0, until: 60_000 }]
  }
  t.same(kinds(elsewhere), ['accepted after its end'])
})

t.test('what is on record takes effect within five seconds of the recovery', async t => {
  const recorded = (at: number, endedAt = 200) => ({
    ...historyOf({ ...logout, ...unavailable }, { ...request, at }),
    endedOnRecord: new Map([['s', endedAt]]),
    recoveries: [100, 4_000, 20_000]
  })
  t.same(kinds(recorded(8_900)), [])
  t.same(kinds(recorded(9_100)), ['accepted against the record'])
  t.same(kinds(recorded(9_100, 5_000)), [], 'it was not on record at that recovery')
  t.same(kinds({ ...recorded(9_100), endedOnRecord: new Map() }), [], 'nothing was recorded')
})

t.test('a replica that ended unexpectedly is found', async t => {
  t.same(kinds({ ...historyOf(request), crashes: [{ replica: 'replica 1', at: 100, said: 'its last words' }] }), [
    'crashed'
  ])
})

t.test('two successors of one refresh token are found if the first one is accepted after the second', async t => {
  const [one, two] = [{ ...refresh, ...next('a', 'u') }, { ...refresh, ...next('b', 'v') }]
  const withFirst = { ...refresh, refreshToken: 'a', ...next('c', 'w') }
  t.same(kinds(historyOf(one, two, withFirst)), ['two successors'])
  t.same(kinds(historyOf(one, two, { ...request, token: 'u', at: 6_600 })), ['two successors'])
  t.same(kinds(historyOf(one, two, { ...request, token: 'u', at: 6_400 })), [], 'its access token is revoked soon')
  t.same(kinds(historyOf(one, { ...request, token: 'u' }, two)), [], 'before it was superseded')
  t.same(kinds(historyOf(one, two, { ...request, token: 'v' }, { ...refresh, refreshToken: 'b', ...next('c') })), [])
  t.same(kinds(historyOf(one, one, { ...refresh, refreshToken: 'a', ...next('b') })), [], 'the same one twice')
})

t.test('answers that are not documented are found', async t => {
  t.same(kinds(historyOf({ ...request, status: 500, error: 'internal_error' })), ['not documented'])
  t.same(
    kinds(historyOf({ ...request, status: 503, error: 'service_unavailable' })),
    ['not documented'],
    'this route asks no database'
  )
  t.same(kinds(historyOf({ ...request, status: 302 })), ['not documented'])
  t.same(kinds(historyOf({ ...request, breach: 'GET /token 200 has a body, which openapi.json does not state' })), [
    'not documented'
  ])
  t.same(kinds(historyOf({ ...request, status: undefined, error: 'ECONNRESET' })), ['not documented'])
  const away = (replica: string) => ({
    ...historyOf({ ...request, status: undefined, error: 'ECONNRESET' }), away: [{ replica, from: 400, until: 900 }]
  })
  t.same(kinds(away('replica 1')), [])
  t.same(kinds(away('replica 2')), ['not documented'])
})

t.test('answers that are later than the deadlines are found, unless everything stood still', async t => {
  const slow = (tookMs: number, route = 'GET /token') => historyOf({ ...request, route, endedAt: tookMs })
  t.same(kinds(slow(740)), [])
  t.same(kinds(slow(760)), ['too slow'])
  t.same(kinds(slow(3_900, 'POST /logout')), [])
  t.same(kinds(slow(4_100, 'POST /logout')), ['too slow'])
  t.same(kinds({ ...slow(1_700), halts: [{ replica: 'all', from: 200, until: 1_200 }] }), [])
  t.same(
    kinds({ ...slow(1_800), halts: [{ replica: 'all', from: 200, until: 1_200 }] }),
    ['too slow'],
    'it explains a second and no more'
  )
  t.same(kinds({ ...slow(1_700), halts: [{ replica: 'replica 2', from: 200, until: 1_200 }] }), ['too slow'])
})
