import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { shareStorages } from '../support/app.ts'
import { letTimePass } from '../support/database.ts'
import { signIn, signUp, signUpWithSessions, type Pair } from '../support/people.ts'
import { expectError, get, logOut, refresh, send } from '../support/requests.ts'
import { ended, isAccepted, refusals, sessionIdOf } from '../support/sessions.ts'

interface Listed {
  id: string
  created_at: string
  last_used_at: string
  expires_at: string
  current: boolean
}

const list = async (app: FastifyInstance, pair: Pair, query = ''): Promise<Listed[]> =>
  (await get(app, `/me/sessions${query}`, pair.access_token)).json().sessions
const idsOf = (listed: Listed[]) => listed.map(({ id }) => id)

const storages = shareStorages(t)

t.test('users list their sessions with GET /me/sessions', t => storages(t, async (t, app) => {
  await t.test('GET /me/sessions lists the live sessions, newest first, and marks the current one', async t => {
    const { sessions } = await signUpWithSessions(app, 3)
    const [first, second, third] = sessions as [Pair, Pair, Pair]
    await signUp(app)
    await refresh(app, first.refresh_token)
    const listed = await list(app, second)
    t.same(idsOf(listed), [third, second, first].map(sessionIdOf))
    t.same(listed.map(({ current }) => current), [false, true, false])
    const { created_at: createdAt, last_used_at: lastUsedAt, expires_at: expiresAt, ...rest } = listed[0] as Listed
    t.same(
      rest,
      { id: sessionIdOf(third), ip: '127.0.0.1', user_agent: 'lightMyRequest', current: false },
      'and nothing else'
    )
    for (const instant of [createdAt, lastUsedAt, expiresAt]) t.equal(new Date(instant).toISOString(), instant)
    t.equal(lastUsedAt, createdAt)
    t.equal(Date.parse(expiresAt), Date.parse(createdAt) + 1_209_600_000)
    const { created_at: opened, last_used_at: refreshed } = listed[2] as Listed
    t.ok(Date.parse(refreshed) > Date.parse(opened))
  })

  await t.test('GET /me/sessions?state=over lists ended and expired sessions', async t => {
    const { username, sessions } = await signUpWithSessions(app, 2)
    const [loggedOut, expired] = sessions as [Pair, Pair]
    await logOut(app, loggedOut.access_token)
    await letTimePass(app, 1_209_600)
    const mine = await signIn(app, username)
    t.same(idsOf(await list(app, mine)), [sessionIdOf(mine)])
    t.same(idsOf(await list(app, mine, '?state=live')), [sessionIdOf(mine)])
    const over = await list(app, mine, '?state=over')
    t.same(idsOf(over), [sessionIdOf(expired), sessionIdOf(loggedOut)])
    t.match(over[1], { end_reason: 'logout', ended_at: /^\d{4}-.*Z$/, current: false })
    t.notOk('ended_at' in (over[0] as Listed) || 'end_reason' in (over[0] as Listed), 'which has just expired')
  })

  await t.test('GET /me/sessions refuses an unknown query, and a request without a token', async t => {
    const { pair: { access_token: token } } = await signUp(app)
    for (const query of ['?state=all', '?state=', '?user=x']) {
      expectError(t, await get(app, `/me/sessions${query}`, token), 400, 'invalid_request')
    }
    expectError(t, await get(app, '/me/sessions'), 401, 'authorization_required')
  })
}))

t.test('users end one of their sessions with DELETE /me/sessions/:id', t => storages(t, async (t, app) => {
  const end = (pair: Pair, id: string) => send(app, `DELETE /me/sessions/${id}`, { token: pair.access_token })

  await t.test('DELETE /me/sessions/:id ends that session and no other, and may be repeated', async t => {
    const { username, sessions } = await signUpWithSessions(app, 3)
    const [mine, lost, other] = sessions as [Pair, Pair, Pair]
    for (let time = 0; time < 2; time++) {
      const answer = await end(mine, sessionIdOf(lost))
      t.equal(answer.statusCode, 204)
      t.equal(answer.body, '')
    }
    t.same(await refusals(app, lost), ended)
    t.same(await refusals(app, other), { access: undefined, refresh: undefined })
    t.match((await list(app, mine, '?state=over'))[0], { id: sessionIdOf(lost), end_reason: 'ended_by_owner' })
    t.ok(await isAccepted(app, await signIn(app, username)), 'a login right after works')
    t.equal((await end(mine, sessionIdOf(mine))).statusCode, 204, 'it may be one\'s own')
    t.same(await refusals(app, mine), ended)
  })

  await t.test('DELETE /me/sessions/:id is 404 for the session of another user, and for an unknown id', async t => {
    const [ada, bob] = [(await signUp(app)).pair, (await signUp(app)).pair]
    expectError(t, await end(ada, sessionIdOf(bob)), 404, 'not_found')
    expectError(t, await end(ada, crypto.randomUUID()), 404, 'not_found')
    t.same(await refusals(app, bob), { access: undefined, refresh: undefined })
  })

  await t.test('DELETE /me/sessions/:id refuses an invalid id', async t => {
    const { pair } = await signUp(app)
    for (const id of ['x', '1', `${sessionIdOf(pair)}x`, `urn:uuid:${sessionIdOf(pair)}`, '%00']) {
      expectError(t, await end(pair, id), 400, 'invalid_request', id)
    }
    expectError(
      t,
      await send(app, `DELETE /me/sessions/${sessionIdOf(pair)}`, { token: pair.access_token, body: { all: true } }),
      400,
      'invalid_request',
      'a body'
    )
    t.ok(await isAccepted(app, pair))
    t.equal((await end(pair, sessionIdOf(pair).toUpperCase())).statusCode, 204, 'in any case of its letters')
  })
}))
