import { decodeJwt } from 'jose'
import t from 'tap'
import { onEachStorage } from '../support/app.ts'
import { entriesInRedis } from '../support/blocklist.ts'
import { query, sessionRow } from '../support/database.ts'
import { signIn, signUp, signUpWithSessions, type Pair } from '../support/people.ts'
import { expectError, refresh, send } from '../support/requests.ts'
import { ended, isAccepted, refusals, sessionIdOf } from '../support/sessions.ts'
import { entryKey } from '../../src/entries/revocation.ts'

const done = { message: 'Successfully logged out' }

t.test('POST /logout ends this session, the others, or all sessions of the user', t => onEachStorage(t, async (t, app, env) => {
  const withAccess = ({ access_token: token }: Pair, query = '') => send(app, `POST /logout${query}`, { token })
  const withRefresh = ({ refresh_token: token }: Pair, query = '') =>
    send(app, `POST /logout${query}`, { body: { refresh_token: token } })

  await t.test('POST /logout puts jti and sid on the blocklist, and ends the refresh tokens', async t => {
    const { pair } = await signUp(app)
    const next = (await refresh(app, pair.refresh_token)).json() as Pair
    const answer = await withAccess(pair)
    t.equal(answer.statusCode, 200)
    t.same(answer.json(), done)
    t.same(await refusals(app, next), ended)
    t.match(await sessionRow(app, sessionIdOf(pair)), { end_reason: 'logout' })
    if (env['REDIS_URL'] === undefined) return
    const { jti, sid, exp } = decodeJwt(pair.access_token)
    const entries = await entriesInRedis(env)
    t.equal(entries.get(entryKey('token', String(jti))), (Number(exp) + 15) * 1000)
    t.ok(
      Number(entries.get(entryKey('session', String(sid)))) >= (Number(decodeJwt(next.access_token).exp) + 15) * 1000,
      'for as long as the last access token lives'
    )
  })

  await t.test('POST /logout works with a refresh token, and can be repeated', async t => {
    const { pair } = await signUp(app)
    for (let time = 0; time < 2; time++) {
      const answer = await withRefresh(pair)
      t.equal(answer.statusCode, 200)
      t.same(answer.json(), done)
    }
    t.same(await refusals(app, pair), ended)
  })

  await t.test('POST /logout with a stolen refresh token is refused, but ends the session', async t => {
    const { pair } = await signUp(app)
    const between = (await refresh(app, pair.refresh_token)).json() as Pair
    const next = (await refresh(app, between.refresh_token)).json() as Pair
    expectError(t, await withRefresh(pair), 401, 'refresh_token_reused')
    t.same(await refusals(app, next), ended)
    expectError(t, await withRefresh(pair), 401, 'refresh_token_reused', 'and once more')
    expectError(t, await withRefresh({ ...pair, refresh_token: 'A'.repeat(43) }), 401, 'invalid_token')
    expectError(t, await withRefresh({ ...pair, refresh_token: 'x' }), 401, 'invalid_token')
  })

  await t.test('POST /logout without a token, or with a wrong body, ends nothing', async t => {
    const { pair } = await signUp(app)
    for (const payload of [undefined, {}, { refresh_token: null }]) {
      const answer = await send(app, 'POST /logout', { body: payload })
      expectError(t, answer, 401, 'authorization_required')
      t.equal(answer.headers['www-authenticate'], 'Bearer realm="signout"')
    }
    for (const payload of [{ refresh_token: 1 }, { refresh_token: [pair.refresh_token] }, { token: 'x' }]) {
      expectError(t, await send(app, 'POST /logout', { body: payload }), 400, 'invalid_request')
    }
    t.ok(await isAccepted(app, pair), 'and nothing has ended')
    t.equal((await refresh(app, pair.refresh_token)).statusCode, 200)
  })

  for (const [name, logOut] of Object.entries({ 'an access token': withAccess, 'a refresh token': withRefresh })) {
    await t.test(`POST /logout?scope=others with ${name} ends the other sessions, and not this one`, async t => {
      const { username, sessions } = await signUpWithSessions(app, 3)
      const [one, two, mine] = sessions as [Pair, Pair, Pair]
      const { pair: stranger } = await signUp(app)
      const answer = await logOut(mine, '?scope=others')
      t.equal(answer.statusCode, 200)
      t.same(answer.json(), done)
      t.same(await Promise.all([one, two].map(pair => refusals(app, pair))), [ended, ended])
      t.same(await Promise.all([mine, stranger].map(pair => isAccepted(app, pair))), [true, true])
      t.ok(await isAccepted(app, await signIn(app, username)), 'a login right after works')
      t.equal((await refresh(app, mine.refresh_token)).statusCode, 200)
    })

    await t.test(`POST /logout?scope=all with ${name} ends all sessions of the user`, async t => {
      const { username, sessions } = await signUpWithSessions(app, 3)
      const { pair: stranger } = await signUp(app)
      t.equal((await logOut(sessions[1] as Pair, '?scope=all')).statusCode, 200)
      t.same(await Promise.all(sessions.map(pair => refusals(app, pair))), [ended, ended, ended])
      t.same(await refusals(app, stranger), { access: undefined, refresh: undefined })
      t.same(
        await refusals(app, await signIn(app, username)),
        { access: undefined, refresh: undefined },
        'a login right after works'
      )
    })

    await t.test(`POST /logout with ${name} and an unknown query ends nothing`, async t => {
      const { sessions } = await signUpWithSessions(app, 2)
      for (const query of [
        '?scope=everything', '?scope=', '?scope=session', '?scope=ALL', '?scope=all&scope=others', '?all=true',
        '?scope=all&x=1'
      ]) {
        expectError(t, await logOut(sessions[0] as Pair, query), 400, 'invalid_request', query)
      }
      t.same(
        await Promise.all(sessions.map(pair => refusals(app, pair))),
        sessions.map(() => ({ access: undefined, refresh: undefined }))
      )
    })
  }

  await t.test('POST /logout?scope=others is refused for a session that has ended', async t => {
    const { sessions } = await signUpWithSessions(app, 2)
    const [mine, other] = sessions as [Pair, Pair]
    await withAccess(mine)
    expectError(t, await withAccess(mine, '?scope=others'), 401, 'token_revoked')
    expectError(t, await withRefresh(mine, '?scope=others'), 401, 'token_revoked')
    t.ok(await isAccepted(app, other))
  })

  await t.test('an expired refresh token cannot end other sessions at POST /logout, but ends its own session', async t => {
    const { sessions } = await signUpWithSessions(app, 2)
    const [mine, other] = sessions as [Pair, Pair]
    await query(app, `update sessions set expires_at = clock_timestamp() where id = '${sessionIdOf(mine)}'`)
    for (const scope of ['others', 'all']) {
      expectError(t, await withRefresh(mine, `?scope=${scope}`), 401, 'token_expired', scope)
    }
    t.same(await Promise.all([mine, other].map(pair => isAccepted(app, pair))), [true, true])
    for (let time = 0; time < 2; time++) t.equal((await withRefresh(mine)).statusCode, 200)
    t.same(await Promise.all([mine, other].map(pair => isAccepted(app, pair))), [false, true])
  })
}))
