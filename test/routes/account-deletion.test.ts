import { decodeJwt, SignJWT } from 'jose'
import t from 'tap'
import type { AccessTokenClaims } from '../../src/tokens/claims.ts'
import { onEachStorage } from '../support/app.ts'
import { breakBlocklist, recordTrips } from '../support/blocklist.ts'
import { everyRow, query } from '../support/database.ts'
import { ask, ended, expectError, isAccepted, refusals, sessionIdOf, withSessions } from '../support/expect.ts'
import { openSession, password, refresh, type Pair } from '../support/people.ts'
import { ed25519, forge, nowSeconds, strangersKey } from '../support/tokens.ts'

t.test('users delete their own account with DELETE /me', t => onEachStorage(t, async (t, app) => {
  const remove = (pair: Pair, password: unknown) => ask(app, 'DELETE', '/me', pair.access_token, { password })

  await t.test('DELETE /me deletes the account and ends all its sessions at once', async t => {
    const { id, username, sessions } = await withSessions(app, 3)
    const [mine] = sessions as [Pair]
    const answer = await remove(mine, password)
    t.equal(answer.statusCode, 204)
    t.equal(answer.body, '')
    t.same(await Promise.all(sessions.map(pair => refusals(app, pair))), [ended, ended, ended])
    for (const url of ['/me', '/token', '/me/sessions', '/me/security-events']) {
      expectError(t, await ask(app, 'GET', url, mine.access_token), 401, 'token_revoked', url)
    }
    expectError(t, await ask(app, 'POST', '/login', undefined, { username, password }), 401, 'invalid_credentials')
    t.same(
      await query(app, `select session_id from security_events where type = 'account_deleted' and user_id = '${id}'`),
      [{ session_id: sessionIdOf(mine) }]
    )
  })

  await t.test('DELETE /me frees the username, and its next owner gets nothing of the old account', async t => {
    const { id, username, sessions: [mine] } = await withSessions(app, 1)
    await remove(mine as Pair, password)
    const again = await ask(app, 'POST', '/register', undefined, { username, password })
    t.equal(again.statusCode, 201)
    t.not(again.json().id, id)
    const session = await openSession(app, username)
    t.same((await ask(app, 'GET', '/me/sessions?state=over', session.access_token)).json(), [])
    const { events } = (await ask(app, 'GET', '/me/security-events', session.access_token)).json()
    t.same(events.map(({ type }: { type: string }) => type), ['login', 'registered'])
    t.notOk(await isAccepted(app, mine as Pair))
  })

  await t.test('DELETE /me removes the username, the password, and the places of the sessions', async t => {
    const { id, username, sessions } = await withSessions(app, 2)
    await remove(sessions[0] as Pair, password)
    t.same(await query(app, `select distinct ip, user_agent from sessions where user_id = '${id}'`), [
      { ip: null, user_agent: null }
    ])
    t.same((await everyRow(app)).filter(row => row.includes(username)), [])
  })

  await t.test('DELETE /me with a wrong password is refused, and ends nothing', async t => {
    const { id, username, sessions } = await withSessions(app, 2)
    const [mine, other] = sessions as [Pair, Pair]
    expectError(t, await remove(mine, 'not the right password'), 403, 'invalid_credentials')
    for (const wrong of ['', 1, undefined]) expectError(t, await remove(mine, wrong), 400, 'invalid_request')
    expectError(t, await ask(app, 'DELETE', '/me', undefined, { password }), 401, 'authorization_required')
    t.same(await Promise.all([mine, other].map(pair => isAccepted(app, pair))), [true, true])
    t.equal((await refresh(app, other.refresh_token)).statusCode, 200)
    t.equal((await ask(app, 'POST', '/login', undefined, { username, password })).statusCode, 200)
    t.same(
      await query(app, `select type, count from security_events where type like '%failed' and user_id = '${id}'`),
      [{ type: 'password_check_failed', count: 1 }]
    )
  })

  await t.test('a repeated DELETE /me, after a lost answer, is answered the same and revokes again', async t => {
    const { sessions } = await withSessions(app, 2)
    const [mine, other] = sessions as [Pair, Pair]
    t.equal((await remove(mine, password)).statusCode, 204)
    for (const pair of [mine, other]) {
      const trips = await recordTrips(app, async () => {
        const answer = await remove(pair, password)
        t.equal(answer.statusCode, 204, answer.body)
        t.notOk(answer.headers['www-authenticate'])
      })
      t.same(trips.flat().map(({ id }) => id).sort(), sessions.map(sessionIdOf).sort())
    }
    expectError(
      t, await ask(app, 'GET', '/me', mine.access_token), 401, 'token_revoked', 'and is the only thing that is'
    )
    expectError(
      t,
      await ask(app, 'PUT', '/me/password', mine.access_token, { current_password: password, new_password: password }),
      401,
      'token_revoked'
    )
    const repair = breakBlocklist(app)
    expectError(t, await remove(mine, password), 503, 'revocation_unavailable', 'not before the blocklist has it')
    repair()
  })

  await t.test('DELETE /me is not answered 204 for an account that still exists, or to a bad token', async t => {
    const { username, sessions } = await withSessions(app, 2)
    const [mine, other] = sessions as [Pair, Pair]
    await ask(app, 'POST', '/logout', mine.access_token)
    const refused = await remove(mine, password)
    expectError(t, refused, 401, 'token_revoked')
    t.match(refused.headers['www-authenticate'], /error="invalid_token"/)
    t.equal((await remove(other, password)).statusCode, 204)
    expectError(t, await remove(mine, password), 401, 'token_revoked', 'it had ended before')
    const claims = decodeJwt<AccessTokenClaims>(other.access_token)
    const header = { alg: 'EdDSA', kid: app.keyRing.signingKey.kid, typ: 'at+jwt' }
    const forged = forge(header, claims, ed25519(strangersKey))
    expectError(t, await ask(app, 'DELETE', '/me', forged, { password }), 401, 'invalid_token')
    const expired = await new SignJWT({ ...claims, exp: nowSeconds() - 60 })
      .setProtectedHeader(header)
      .sign(app.keyRing.signingKey.privateKey)
    expectError(t, await ask(app, 'DELETE', '/me', expired, { password }), 401, 'token_expired')
    expectError(t, await ask(app, 'POST', '/login', undefined, { username, password }), 401, 'invalid_credentials')
  })
}))
