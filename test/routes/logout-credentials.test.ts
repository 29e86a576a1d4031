import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { shareStorages } from '../support/app.ts'
import { query, sessionRow } from '../support/database.ts'
import { issueToken, password, signIn, signUp, signUpAdmin, signUpWithSessions, type Pair } from '../support/people.ts'
import { expectError, get, logOut, outcome, refresh, send, type Route } from '../support/requests.ts'
import { claimsOf, ended, expire, isAccepted, refusals, sessionIdOf } from '../support/sessions.ts'

const storages = shareStorages(t)
const unknownRefreshToken = 'A'.repeat(43)

/** Logs out with the text of an `Authorization` header and a refresh token. */
function logOutWith (
  app: FastifyInstance, authorization: string | undefined, refreshToken?: string | null, query = ''
): ReturnType<typeof send> {
  return send(app, `POST /logout${query}`, {
    ...authorization !== undefined && { headers: { authorization } },
    ...refreshToken !== undefined && { body: { refresh_token: refreshToken } }
  })
}

/** Registers a user with two sessions. */
async function signUpTwice (app: FastifyInstance): Promise<[Pair, Pair]> {
  return (await signUpWithSessions(app, 2)).sessions as [Pair, Pair]
}

/** Returns an expired access token of a session that the database does not have. */
async function expireUnknown (app: FastifyInstance, userId: string = randomUUID()): Promise<string> {
  const token = await issueToken(app, { userId, sessionId: randomUUID() })
  return await expire(app, { access_token: token })
}

async function countLogouts (app: FastifyInstance, pair: Pair): Promise<number> {
  const which = `type = 'logout' and session_id = '${sessionIdOf(pair)}'`
  return (await query(app, `select 1 from security_events where ${which}`)).length
}

t.test('P8: a good refresh token ends its session, whatever stands in Authorization', t => storages(t, async (t, app) => {
  const { pair: other } = await signUp(app)
  await logOut(app, other.access_token)
  const headers: Record<string, string> = {
    'an expired access token of an unknown session': `Bearer ${await expireUnknown(app)}`,
    'a revoked access token': `Bearer ${other.access_token}`,
    'another text': 'Bearer garbage',
    'another scheme': 'Basic dXNlcjpwYXNzd29yZA==',
    null: 'Bearer null',
    undefined: 'Bearer undefined',
    'only the scheme': 'Bearer ',
    nothing: ''
  }
  for (const [name, header] of Object.entries(headers)) {
    const { pair } = await signUp(app)
    t.equal(outcome(await logOutWith(app, header, pair.refresh_token)), '200', name)
    t.same(await refusals(app, pair), ended, name)
  }
}))

t.test('P8: a good access token ends its session, whatever refresh token is beside it', t => storages(t, async (t, app) => {
  for (const refreshToken of [null, '', 'null', 'undefined', unknownRefreshToken, 'x'.repeat(10_000), 'ü\0']) {
    const { pair } = await signUp(app)
    const name = JSON.stringify(refreshToken).slice(0, 50)
    t.equal(outcome(await logOutWith(app, `Bearer ${pair.access_token}`, refreshToken)), '200', name)
    t.same(await refusals(app, pair), ended, name)
  }
}))

t.test('P8: both tokens of a session end it, once', t => storages(t, async (t, app) => {
  const { pair } = await signUp(app)
  t.equal(outcome(await logOutWith(app, `Bearer ${pair.access_token}`, pair.refresh_token)), '200')
  t.same(await refusals(app, pair), ended)
  t.equal(await countLogouts(app, pair), 1)
  await t.test('also if the refresh token was spent', async t => {
    const { pair } = await signUp(app)
    const next = (await refresh(app, pair.refresh_token)).json() as Pair
    t.equal(outcome(await logOutWith(app, `Bearer ${next.access_token}`, pair.refresh_token)), '200')
    t.same(await refusals(app, next), ended)
    t.match(await sessionRow(app, sessionIdOf(pair)), { end_reason: 'logout' })
  })
}))

t.test('P8: tokens of two users each end their session, and the scope is that of the access token', t => storages(t, async (t, app) => {
  for (const scope of ['', '?scope=all', '?scope=others'] as const) {
    const [mine, mineToo] = await signUpTwice(app)
    const [theirs, theirsToo] = await signUpTwice(app)
    t.equal(outcome(await logOutWith(app, `Bearer ${mine.access_token}`, theirs.refresh_token, scope)), '200', scope)
    t.same(
      await Promise.all([mine, mineToo, theirs, theirsToo].map(pair => isAccepted(app, pair))),
      [scope === '?scope=others', scope === '', false, true],
      scope
    )
  }
  await t.test('with scope=others the refresh token of the same session ends nothing', async t => {
    const [mine, other] = await signUpTwice(app)
    t.equal(outcome(await logOutWith(app, `Bearer ${mine.access_token}`, mine.refresh_token, '?scope=others')), '200')
    t.same(await refusals(app, other), ended)
    t.same(await refusals(app, mine), { access: undefined, refresh: undefined })
  })
}))

t.test('P8: an expired access token ends its own session while that lives, and nothing else', t => storages(t, async (t, app) => {
  const [mine, other] = await signUpTwice(app)
  const token = await expire(app, mine)
  expectError(t, await get(app, '/token', token), 401, 'token_expired')
  for (const scope of ['others', 'all']) {
    expectError(t, await logOutWith(app, `Bearer ${token}`, undefined, `?scope=${scope}`), 401, 'token_expired', scope)
  }
  t.ok(await isAccepted(app, mine))
  t.equal(outcome(await logOut(app, token)), '200')
  t.same(await refusals(app, mine), ended)
  t.same(await refusals(app, other), { access: undefined, refresh: undefined })
  t.equal(await countLogouts(app, mine), 1)
  expectError(t, await logOut(app, token), 401, 'token_revoked', 'a second time')
  await t.test('it proves nothing of an unknown or an expired session', async t => {
    expectError(t, await logOut(app, await expireUnknown(app, claimsOf(other).sub)), 401, 'token_expired')
    const { pair } = await signUp(app)
    const over = "expires_at = now(), access_expires_at = now() - interval '1 hour'"
    await query(app, `update sessions set ${over} where id = '${sessionIdOf(pair)}'`)
    expectError(t, await logOut(app, await expire(app, pair)), 401, 'token_expired')
    t.match(await sessionRow(app, sessionIdOf(pair)), { ended_at: null })
  })
  await t.test('beside a good refresh token, the scope is that of the refresh token', async t => {
    const [mine, other] = await signUpTwice(app)
    const header = `Bearer ${await expire(app, mine)}`
    t.equal(outcome(await logOutWith(app, header, mine.refresh_token, '?scope=all')), '200')
    t.same([await refusals(app, mine), await refusals(app, other)], [ended, ended])
  })
}))

t.test('P8: a logout is answered token_revoked only if the session has ended', t => storages(t, async (t, app) => {
  const admin = await signUpAdmin(app)
  const { pair } = await signUp(app)
  const { jti } = claimsOf(pair)
  t.equal((await send(app, 'POST /revocations', { token: admin.token, body: { jti } })).statusCode, 200)
  expectError(t, await get(app, '/token', pair.access_token), 401, 'token_revoked')
  expectError(t, await logOutWith(app, `Bearer ${pair.access_token}`, undefined, '?scope=all'), 401, 'invalid_token')
  t.match(await sessionRow(app, sessionIdOf(pair)), { ended_at: null }, 'nothing has ended')
  t.equal(outcome(await logOut(app, pair.access_token)), '200', 'its session lives')
  t.same(await refusals(app, pair), ended)
  const second = await logOut(app, pair.access_token)
  t.equal(second.statusCode, 401)
  t.equal(second.body, '{"error":"token_revoked","description":"The token has been revoked."}')
}))

t.test('P8: a logout without a good credential says the most that is known', t => storages(t, async (t, app) => {
  const { pair } = await signUp(app)
  await logOut(app, pair.access_token)
  const { pair: live } = await signUp(app)
  const between = (await refresh(app, live.refresh_token)).json() as Pair
  // Its successor was spent too, so it is no answer that was lost.
  const [spent, next] = [live, (await refresh(app, between.refresh_token)).json() as Pair]
  const unknown = `Bearer ${await expireUnknown(app)}`
  const cases: Array<[header: string | undefined, refreshToken: string | null | undefined, code: string]> = [
    [undefined, undefined, 'authorization_required'],
    [undefined, null, 'authorization_required'],
    [undefined, '', 'invalid_token'],
    ['Basic x', undefined, 'authorization_required'],
    ['Basic x', unknownRefreshToken, 'invalid_token'],
    ['Bearer null', unknownRefreshToken, 'invalid_token'],
    [unknown, unknownRefreshToken, 'token_expired'],
    [`Bearer ${pair.access_token}`, 'x', 'token_revoked'],
    [unknown, spent.refresh_token, 'refresh_token_reused']
  ]
  for (const [header, refreshToken, code] of cases) {
    expectError(t, await logOutWith(app, header, refreshToken), 401, code, `${header} ${refreshToken}`)
  }
  t.same(await refusals(app, next), ended, 'the session of the spent token has ended')
}))

t.test('P8: logging out is never rate limited, however often it fails', t => storages(t, async (t, app) => {
  const { username, pair } = await signUp(app)
  const expired = await expire(app, pair)
  const headers = ['Bearer garbage', 'Basic x', `Bearer ${expired}`]
  const codes = new Set<number>()
  await logOut(app, pair.access_token)
  for (let time = 0; time < 150; time++) {
    codes.add((await logOutWith(app, headers[time % 3], unknownRefreshToken)).statusCode)
  }
  t.same([...codes], [401])
  const { access_token: token } = await signIn(app, username)
  t.equal(outcome(await logOut(app, token)), '200')
}))

t.test('P8: a stale Authorization header is no obstacle to a login or a registration', t => storages(t, async (t, app) => {
  const { username, pair } = await signUp(app)
  await logOut(app, pair.access_token)
  for (const authorization of ['Bearer garbage', 'Basic x', 'Bearer null', `Bearer ${pair.access_token}`]) {
    const sendTo = (route: Route, name: string) =>
      send(app, route, { headers: { authorization }, body: { username: name, password } })
    t.equal(outcome(await sendTo('POST /login', username)), '200', authorization)
    t.equal(outcome(await sendTo('POST /register', `user-${randomUUID()}`)), '201', authorization)
  }
}))
