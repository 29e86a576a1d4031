import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { decodeJwt } from 'jose'
import t from 'tap'
import type { Revocation } from '../../src/entries/revocation.ts'
import { shareStorages } from '../support/app.ts'
import { breakBlocklist, holdProjector, recordTrips } from '../support/blocklist.ts'
import { query } from '../support/database.ts'
import { password, signUp, signUpAdmin, signUpWithSessions, type Pair } from '../support/people.ts'
import { expectError, logOut, refresh, send } from '../support/requests.ts'
import { claimsOf, isAccepted, sessionIdOf } from '../support/sessions.ts'

const onEachStorage = shareStorages(t, { REFRESH_GRACE: '0', REFRESH_REPEAT_MAX: '0', MAX_SESSIONS: '3' })

interface Scene {
  id: string
  /** The session of the user who acts. */
  mine: Pair
  /** Another session of the same user. */
  other: Pair
  /** The access token of an administrator. */
  admin: string
}

interface Ending {
  act (app: FastifyInstance, scene: Scene): Promise<LightMyRequestResponse>
  /** The status of the answer if the act succeeds. */
  statusCode: number
  ends: Array<'mine' | 'other'>
  /** Set if the act revokes an access token alone. */
  leavesRefreshTokens?: true
}

const newPassword = 'a wholly different pass phrase'
const all: Ending['ends'] = ['mine', 'other']

/** Endings by users themselves. */
const own: Record<string, Ending> = {
  'a logout': {
    act: (app, { mine }) => logOut(app, mine.access_token), statusCode: 200, ends: ['mine']
  },
  'a logout of the others': {
    act: (app, { mine }) => send(app, 'POST /logout?scope=others', { token: mine.access_token }),
    statusCode: 200,
    ends: ['other']
  },
  'a logout of all': {
    act: (app, { mine }) => send(app, 'POST /logout?scope=all', { token: mine.access_token }),
    statusCode: 200,
    ends: all
  },
  'a logout with a refresh token': {
    act: (app, { mine }) => send(app, 'POST /logout', { body: { refresh_token: mine.refresh_token } }),
    statusCode: 200,
    ends: ['mine']
  },
  'a logout of all with a refresh token': {
    act: (app, { mine }) => send(app, 'POST /logout?scope=all', { body: { refresh_token: mine.refresh_token } }),
    statusCode: 200,
    ends: all
  },
  'the end of a session in the list': {
    act: (app, { mine, other }) => send(app, `DELETE /me/sessions/${sessionIdOf(other)}`, { token: mine.access_token }),
    statusCode: 204,
    ends: ['other']
  },
  "the end of one's own session in the list": {
    act: (app, { mine }) => send(app, `DELETE /me/sessions/${sessionIdOf(mine)}`, { token: mine.access_token }),
    statusCode: 204,
    ends: ['mine']
  },
  'a new password': {
    act: (app, { mine }) =>
      send(app, 'PUT /me/password', {
        token: mine.access_token, body: { current_password: password, new_password: newPassword }
      }),
    statusCode: 200,
    ends: all
  },
  'the deletion of an account': {
    act: (app, { mine }) => send(app, 'DELETE /me', { token: mine.access_token, body: { password } }),
    statusCode: 204,
    ends: all
  }
}

/** Endings by administrators. */
const administered: Record<string, Ending> = {
  'another role': {
    act: (app, { id, admin }) => send(app, `PUT /users/${id}/role`, { token: admin, body: { role: 'admin' } }),
    statusCode: 200,
    ends: all
  },
  'disabling a user': {
    act: (app, { id, admin }) => send(app, `PUT /users/${id}/status`, { token: admin, body: { status: 'disabled' } }),
    statusCode: 200,
    ends: all
  },
  'deleting a user': {
    act: (app, { id, admin }) => send(app, `DELETE /users/${id}`, { token: admin }), statusCode: 204, ends: all
  },
  'ending the sessions of a user': {
    act: (app, { id, admin }) => send(app, `DELETE /users/${id}/sessions`, { token: admin }), statusCode: 204, ends: all
  },
  'a revocation by subject': {
    act: (app, { id, admin }) => send(app, 'POST /revocations', { token: admin, body: { subject: id } }),
    statusCode: 200,
    ends: all
  },
  'a revocation by sid': {
    act: (app, { other, admin }) => send(app, 'POST /revocations', { token: admin, body: { sid: sessionIdOf(other) } }),
    statusCode: 200,
    ends: ['other']
  },
  'a revocation by token': {
    act: (app, { other, admin }) =>
      send(app, 'POST /revocations', { token: admin, body: { token: other.access_token } }),
    statusCode: 200,
    ends: ['other'],
    leavesRefreshTokens: true
  },
  'a revocation by jti': {
    act: (app, { other, admin }) =>
      send(app, 'POST /revocations', { token: admin, body: { jti: claimsOf(other).jti } }),
    statusCode: 200,
    ends: ['other'],
    leavesRefreshTokens: true
  }
}

/** True if the blocklist was given the token of the pair, or its session. */
function isWritten (trips: Revocation[][], { access_token: token }: Pair): boolean {
  const { jti, sid } = decodeJwt(token)
  return trips.flat().some(({ scope, id }) => id === (scope === 'token' ? jti : sid))
}

for (const [who, endings] of Object.entries({ people: own, administrators: administered })) {
  t.test(`an ending by ${who} while the blocklist fails is 503, and succeeds when it is repeated`, t => onEachStorage(t, async (t, app) => {
    const { token: admin } = await signUpAdmin(app)
    for (const [name, { act, statusCode, ends, leavesRefreshTokens = false }] of Object.entries(endings)) {
      await t.test(name, async t => {
        // If the projector wrote the revocation first, a repeated request would find its own token revoked.
        const release = await holdProjector(app)
        const { id, sessions } = await signUpWithSessions(app, 2)
        const scene = { id, admin, mine: sessions[0] as Pair, other: sessions[1] as Pair }
        const repair = breakBlocklist(app)
        for (let time = 0; time < 2; time++) {
          const failed = await act(app, scene)
          expectError(t, failed, 503, 'revocation_unavailable')
          t.equal(failed.headers['retry-after'], '1')
        }
        repair()
        t.equal(
          (await query(app, `select 1 from sessions where user_id = '${id}' and ended_at is not null`)).length,
          leavesRefreshTokens ? 0 : ends.length,
          'but the record stands'
        )
        const written = await recordTrips(app, async () => { t.equal((await act(app, scene)).statusCode, statusCode) })
        await release()
        for (const which of ends) {
          t.ok(isWritten(written, scene[which]), 'the request writes it, and does not leave it to the projector')
        }
        for (const which of all) t.equal(await isAccepted(app, scene[which]), !ends.includes(which), which)
        for (const which of leavesRefreshTokens ? [] : ends) {
          expectError(t, await refresh(app, scene[which].refresh_token), 401, 'token_revoked')
        }
      })
    }
  }))
}

t.test('reuse of a refresh token that cannot be confirmed is 503, and the next use confirms it', t => onEachStorage(t, async (t, app) => {
  const { pair: first } = await signUp(app)
  const { refresh_token: spent, ...pair } = first
  const next = (await refresh(app, spent)).json() as Pair
  for (const reuse of [
    () => refresh(app, spent), () => send(app, 'POST /logout', { body: { refresh_token: spent } })
  ]) {
    const repair = breakBlocklist(app)
    expectError(t, await reuse(), 503, 'revocation_unavailable')
    repair()
  }
  const written = await recordTrips(app, async () => {
    expectError(t, await refresh(app, spent), 401, 'refresh_token_reused')
  })
  t.ok(isWritten(written, next))
  t.same(await Promise.all([{ ...pair, refresh_token: spent }, next].map(each => isAccepted(app, each))), [
    false, false
  ])
}))

t.test('a login that ends the oldest session succeeds while the blocklist fails, and ends no other', t => onEachStorage(t, async (t, app) => {
  const { id, username, sessions } = await signUpWithSessions(app, 3)
  const [oldest] = sessions as [Pair]
  const repair = breakBlocklist(app)
  const answer = await send(app, 'POST /login', { body: { username, password } })
  t.equal(answer.statusCode, 200)
  const newest = answer.json() as Pair
  t.same(
    await query(app, `select id, end_reason from sessions where user_id = '${id}' and ended_at is not null`),
    [{ id: sessionIdOf(oldest), end_reason: 'too_many_sessions' }],
    'a client that had to try again would end one each time'
  )
  t.same(
    await query(app, `select id from revocations where subject = '${id}'`),
    [{ id: sessionIdOf(oldest) }],
    'its end is recorded, for the projector'
  )
  expectError(t, await refresh(app, oldest.refresh_token), 503, 'revocation_unavailable')
  repair()
  expectError(t, await refresh(app, oldest.refresh_token), 401, 'token_revoked', 'a 401 writes the revocation first')
  t.same(await Promise.all([oldest, newest].map(pair => isAccepted(app, pair))), [false, true])
}))

t.test('a login writes the session that it ends to the blocklist, and not those of earlier logins', t => onEachStorage(t, async (t, app) => {
  const { username, sessions } = await signUpWithSessions(app, 3)
  const login = () => send(app, 'POST /login', { body: { username, password } })
  for (const pair of sessions) {
    const trips = await recordTrips(app, async () => { t.equal((await login()).statusCode, 200) })
    t.same(trips.map(trip => trip.map(({ id }) => id)), [[sessionIdOf(pair)]])
    t.notOk(await isAccepted(app, pair))
  }
}))
