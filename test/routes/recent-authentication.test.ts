import { decodeJwt } from 'jose'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { shareStorages } from '../support/app.ts'
import { query, sessionRow } from '../support/database.ts'
import { breakBlocklist } from '../support/blocklist.ts'
import { password, signIn, signUp, signUpAdmin, signUpWithSessions, type Pair } from '../support/people.ts'
import { expectError, logOut, outcome, refresh, send, type Route } from '../support/requests.ts'
import { ended, isAccepted, refusals, sessionIdOf } from '../support/sessions.ts'
import { until } from '../support/wait.ts'

const storages = shareStorages(t)
const good = { access: undefined, refresh: undefined }
const challenge =
  /^Bearer realm="signout", error="insufficient_user_authentication", error_description="[^"]+", max_age="600"$/

/** Moves the login of sessions eleven minutes back. */
async function age (app: FastifyInstance, ...pairs: Pair[]): Promise<void> {
  const ids = pairs.map(pair => `'${sessionIdOf(pair)}'`).join()
  await query(app, `update sessions set created_at = created_at - interval '11 minutes' where id in (${ids})`)
}

async function signUpTwice (app: FastifyInstance): Promise<[Pair, Pair]> {
  return (await signUpWithSessions(app, 2)).sessions as [Pair, Pair]
}

const reauthenticate = (app: FastifyInstance, { access_token: token }: Pair, password: string) =>
  send(app, 'POST /reauthenticate', { token, body: { password } })

/** Repeats a reauthentication while it gets 503. On a busy machine it may, until Redis has what was recorded. */
async function repeat (app: FastifyInstance, pair: Pair, password: string): Promise<LightMyRequestResponse> {
  let answer = await reauthenticate(app, pair, password)
  await until('it is answered', async () => {
    if (answer.statusCode === 503) answer = await reauthenticate(app, pair, password)
    return answer.statusCode !== 503
  }, 30_000)
  return answer
}

t.test('P8: tokens say when the password was last proved, also after refreshes', t => storages(t, async (t, app) => {
  const { pair } = await signUp(app)
  const { auth_time: authTime } = decodeJwt(pair.access_token)
  const [row] = await query<{ at: string }>(
    app, `select floor(extract(epoch from created_at))::int as at from sessions where id = '${sessionIdOf(pair)}'`
  )
  t.equal(authTime, Number(row?.at), "by Postgres' clock")
  await age(app, pair)
  const next = (await refresh(app, pair.refresh_token)).json() as Pair
  t.equal(decodeJwt(next.access_token)['auth_time'], Number(authTime) - 660)
}))

t.test('P8: without a recent login, no other session can be ended', t => storages(t, async (t, app) => {
  const [mine, other] = await signUpTwice(app)
  await age(app, mine, other)
  const { access_token: token, refresh_token: refreshToken } = mine
  const requests: Array<[route: Route, options: Parameters<typeof send>[2]]> = [
    ['POST /logout?scope=others', { token }],
    ['POST /logout?scope=all', { token }],
    ['POST /logout?scope=all', { body: { refresh_token: refreshToken } }],
    ['POST /logout?scope=all', { token, body: { refresh_token: refreshToken } }],
    [`DELETE /me/sessions/${sessionIdOf(other)}`, { token }]
  ]
  for (const [route, options] of requests) {
    const answer = await send(app, route, options)
    expectError(t, answer, 401, 'insufficient_user_authentication', route)
    t.match(answer.headers['www-authenticate'], challenge, route)
  }
  t.same(await Promise.all([mine, other].map(pair => isAccepted(app, pair))), [true, true], 'nothing has ended')
  const own = await send(app, `DELETE /me/sessions/${sessionIdOf(mine)}`, { token })
  t.equal(outcome(own), '204', 'the own session needs no recent login')
  t.equal(outcome(await logOut(app, other.access_token)), '200')
}))

t.test('P8: the password in a logout does instead of a recent login', t => storages(t, async (t, app) => {
  for (const scope of ['others', 'all']) {
    for (const kind of ['access', 'refresh']) {
      const [mine, other] = await signUpTwice(app)
      await age(app, mine)
      const logOutWith = (password: string) => send(app, `POST /logout?scope=${scope}`, {
        ...kind === 'access' && { token: mine.access_token },
        body: { password, ...kind === 'refresh' && { refresh_token: mine.refresh_token } }
      })
      const wrong = await logOutWith('not the right password')
      expectError(t, wrong, 403, 'invalid_credentials', `${scope}, ${kind}`)
      t.same(await Promise.all([mine, other].map(pair => isAccepted(app, pair))), [true, true])
      t.equal(outcome(await logOutWith(password)), '200', `${scope}, ${kind}`)
      t.same(await refusals(app, other), ended)
      t.same(await refusals(app, mine), scope === 'all' ? ended : good)
    }
  }
  await t.test('a wrong one ends nothing, whatever else is sent', async t => {
    const [mine, other] = await signUpTwice(app)
    const { pair: stranger } = await signUp(app)
    const body = { password: 'not the right password', refresh_token: stranger.refresh_token }
    const answer = await send(app, 'POST /logout?scope=all', { token: mine.access_token, body })
    expectError(t, answer, 403, 'invalid_credentials', 'after a recent login, too')
    t.same(await Promise.all([mine, other, stranger].map(pair => isAccepted(app, pair))), [true, true, true])
  })
}))

t.test('POST /reauthenticate puts a new session in the place of the old one', t => storages(t, async (t, app) => {
  const [mine, other] = await signUpTwice(app)
  await age(app, mine)
  const wrong = await reauthenticate(app, mine, 'not the right password')
  expectError(t, wrong, 403, 'invalid_credentials')
  t.notOk(wrong.headers['www-authenticate'])
  t.ok(await isAccepted(app, mine))
  const answer = await reauthenticate(app, mine, password)
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['cache-control'], 'no-store')
  const next = answer.json() as Pair
  t.not(sessionIdOf(next), sessionIdOf(mine))
  t.same(await refusals(app, mine), ended)
  t.match(await sessionRow(app, sessionIdOf(mine)), { end_reason: 'reauthenticated' })
  t.same(await refusals(app, next), good)
  t.same(await refusals(app, other), good, 'other sessions stay')
  const { access_token: token } = next
  t.equal(outcome(await send(app, 'POST /logout?scope=others', { token })), '200')
  t.same(await refusals(app, other), ended)
  const events = await query(
    app, `select type from security_events where type = 'reauthenticated' and session_id = '${sessionIdOf(next)}'`
  )
  t.equal(events.length, 1)
}))

t.test('after a 503 of POST /reauthenticate, its repetition is answered like a login', t => storages(t, async (t, app) => {
  const { pair: mine } = await signUp(app)
  const repair = breakBlocklist(app)
  expectError(t, await reauthenticate(app, mine, password), 503, 'revocation_unavailable')
  repair()
  expectError(t, await repeat(app, mine, 'not the right password'), 403, 'invalid_credentials')
  const answer = await repeat(app, mine, password)
  t.equal(answer.statusCode, 200)
  t.same(await refusals(app, answer.json()), good)
  t.same(await refusals(app, mine), ended)
  await t.test('and the token of a session that has ended otherwise is refused', async t => {
    const { pair } = await signUp(app)
    await logOut(app, pair.access_token)
    expectError(t, await reauthenticate(app, pair, password), 401, 'token_revoked')
    expectError(t, await send(app, 'POST /reauthenticate', { body: { password } }), 401, 'authorization_required')
  })
}))

t.test('P8: POST /login with end_other_sessions ends all others, and confirms it', t => storages(t, async (t, app) => {
  const { username, sessions } = await signUpWithSessions(app, 3)
  const { pair: stranger } = await signUp(app)
  const body = { username, password, end_other_sessions: true }
  const repair = breakBlocklist(app)
  expectError(t, await send(app, 'POST /login', { body }), 503, 'revocation_unavailable')
  repair()
  const answer = await send(app, 'POST /login', { body })
  t.equal(answer.statusCode, 200)
  t.same(await Promise.all(sessions.map(pair => refusals(app, pair))), [ended, ended, ended])
  t.same(await Promise.all([answer.json(), stranger].map(pair => refusals(app, pair))), [good, good])
  const rows = await query(app, `select 1 from sessions where user_id = (
    select user_id from sessions where id = '${sessionIdOf(answer.json())}') and ended_at is null`)
  t.equal(rows.length, 1, 'the session of the login without an answer has ended, too')
  expectError(
    t, await send(app, 'POST /login', { body: { ...body, end_other_sessions: 'yes' } }), 400, 'invalid_request'
  )
}))

t.test('administrators need a recent login to act', t => storages(t, async (t, app) => {
  const admin = await signUpAdmin(app)
  const { id, pair } = await signUp(app)
  await age(app, admin.pair)
  const { token } = admin
  const acts: Array<[route: Route, body?: object]> = [
    ['POST /revocations', { sid: sessionIdOf(pair) }], ['POST /revocations', { token: pair.access_token }],
    [`DELETE /users/${id}/sessions`], [`PUT /users/${id}/role`, { role: 'admin' }],
    [`PUT /users/${id}/status`, { status: 'disabled' }], [`DELETE /users/${id}`]
  ]
  for (const [route, body] of acts) {
    const answer = await send(app, route, { token, body })
    expectError(t, answer, 401, 'insufficient_user_authentication', route)
    t.match(answer.headers['www-authenticate'], challenge, route)
  }
  t.ok(await isAccepted(app, pair))
  t.equal(outcome(await send(app, `GET /users/${id}`, { token })), '200', 'they may look')
  const next = (await reauthenticate(app, admin.pair, password)).json() as Pair
  t.equal(outcome(await send(app, `DELETE /users/${id}/sessions`, { token: next.access_token })), '204')
  t.equal(await isAccepted(app, pair), false)
}))

t.test('REAUTHENTICATION_MAX_AGE=0 requires no recent login', t => shareStorages(t, { REAUTHENTICATION_MAX_AGE: '0' })(t, async (t, app) => {
  const { username, pair } = await signUp(app)
  const other = await signIn(app, username)
  await age(app, pair)
  t.equal(outcome(await send(app, 'POST /logout?scope=others', { token: pair.access_token })), '200')
  t.same(await refusals(app, other), ended)
}))
