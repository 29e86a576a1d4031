import { randomUUID } from 'node:crypto'
import { decodeJwt, SignJWT } from 'jose'
import t from 'tap'
import type { AccessTokenClaims } from '../../src/tokens/access-token-claims.ts'
import { onEachStorage } from '../support/app.ts'
import { breakBlocklist, recordTrips } from '../support/blocklist.ts'
import { everyRow, query } from '../support/database.ts'
import { issueToken, password, signIn, signUp, signUpWithSessions, type Pair } from '../support/people.ts'
import { expectError, get, logOut, refresh, send } from '../support/requests.ts'
import { ended, isAccepted, refusals, sessionIdOf } from '../support/sessions.ts'
import { ed25519, forge, nowSeconds, strangersKey } from '../support/tokens.ts'

const newPassword = 'a wholly different pass phrase'

t.test('users delete their own account with DELETE /me', t => onEachStorage(t, async (t, app) => {
  const remove = (pair: Pair, password: unknown) =>
    send(app, 'DELETE /me', { token: pair.access_token, body: { password } })

  await t.test('DELETE /me deletes the account and ends all its sessions at once', async t => {
    const { id, username, sessions } = await signUpWithSessions(app, 3)
    const [mine] = sessions as [Pair]
    const answer = await remove(mine, password)
    t.equal(answer.statusCode, 204)
    t.equal(answer.body, '')
    t.same(await Promise.all(sessions.map(pair => refusals(app, pair))), [ended, ended, ended])
    for (const url of ['/me', '/token', '/me/sessions', '/me/security-events']) {
      expectError(t, await get(app, url, mine.access_token), 401, 'token_revoked', url)
    }
    expectError(t, await send(app, 'POST /login', { body: { username, password } }), 401, 'invalid_credentials')
    t.same(
      await query(app, `select session_id from security_events where type = 'account_deleted' and user_id = '${id}'`),
      [{ session_id: sessionIdOf(mine) }]
    )
  })

  await t.test('DELETE /me frees the username, and its next owner gets no session, event or password of the old', async t => {
    const { id, username, pair: mine } = await signUp(app)
    await remove(mine, password)
    const again = await send(app, 'POST /register', { body: { username, password: newPassword } })
    t.equal(again.statusCode, 201)
    t.not(again.json().id, id)
    expectError(t, await send(app, 'POST /login', { body: { username, password } }), 401, 'invalid_credentials')
    const session = await signIn(app, username, { password: newPassword })
    t.same((await get(app, '/me/sessions?state=over', session.access_token)).json(), { sessions: [] })
    t.same(
      (await get(app, '/me/sessions', session.access_token)).json().sessions.map(({ id }: { id: string }) => id),
      [sessionIdOf(session)]
    )
    const { events } = (await get(app, '/me/security-events', session.access_token)).json()
    t.same(events.map(({ type }: { type: string }) => type), ['login', 'login_failed', 'registered'])
    t.notOk(await isAccepted(app, mine))
  })

  await t.test('DELETE /me removes the username, the password, and the places of the sessions', async t => {
    const { id, username, sessions } = await signUpWithSessions(app, 2)
    const places = () =>
      query(app, `select distinct host(ip) as ip, user_agent from sessions where user_id = '${id}'`)
    const [user] = await query(app, `select password_hash from users where id = '${id}'`)
    const personal = [username, String(user?.['password_hash'])]
    const stored = async () => {
      const rows = await everyRow(app)
      return personal.map(text => rows.some(row => row.includes(text)))
    }
    t.same(await places(), [{ ip: '127.0.0.1', user_agent: 'lightMyRequest' }])
    t.same(await stored(), [true, true])
    await remove(sessions[0] as Pair, password)
    t.same(await places(), [{ ip: null, user_agent: null }])
    t.same(await stored(), [false, false])
  })

  await t.test('DELETE /me with a wrong password is refused, and ends nothing', async t => {
    const { id, username, sessions } = await signUpWithSessions(app, 2)
    const [mine, other] = sessions as [Pair, Pair]
    expectError(t, await remove(mine, 'not the right password'), 403, 'invalid_credentials')
    for (const wrong of ['', 1, undefined]) expectError(t, await remove(mine, wrong), 400, 'invalid_request')
    expectError(t, await send(app, 'DELETE /me', { body: { password } }), 401, 'authorization_required')
    t.same(await Promise.all([mine, other].map(pair => isAccepted(app, pair))), [true, true])
    t.equal((await refresh(app, other.refresh_token)).statusCode, 200)
    t.equal((await send(app, 'POST /login', { body: { username, password } })).statusCode, 200)
    t.same(
      await query(app, `select type, count from security_events where type like '%failed' and user_id = '${id}'`),
      [{ type: 'password_check_failed', count: 1 }]
    )
  })

  await t.test('a repeated DELETE /me, after a lost answer, is answered the same and revokes again', async t => {
    const { sessions } = await signUpWithSessions(app, 2)
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
      t, await get(app, '/me', mine.access_token), 401, 'token_revoked', 'and is the only thing that is'
    )
    expectError(
      t,
      await send(app, 'PUT /me/password', {
        token: mine.access_token, body: { current_password: password, new_password: password }
      }),
      401,
      'token_revoked'
    )
    const repair = breakBlocklist(app)
    expectError(t, await remove(mine, password), 503, 'revocation_unavailable', 'not before the blocklist has it')
    repair()
  })

  await t.test('DELETE /me is not answered 204 for an account that still exists, or to a bad token', async t => {
    const { username, sessions } = await signUpWithSessions(app, 2)
    const [mine, other] = sessions as [Pair, Pair]
    await logOut(app, mine.access_token)
    const refused = await remove(mine, password)
    expectError(t, refused, 401, 'token_revoked')
    t.match(refused.headers['www-authenticate'], /error="invalid_token"/)
    t.equal((await get(app, '/me', other.access_token)).json().username, username, 'the account still exists')
    t.equal((await remove(other, password)).statusCode, 204)
    expectError(t, await remove(mine, password), 401, 'token_revoked', 'it had ended before')
    const claims = decodeJwt<AccessTokenClaims>(other.access_token)
    const { kid, privateKey } = await app.keyRing.getSigningKey()
    const header = { alg: 'EdDSA', kid, typ: 'at+jwt' }
    const forged = forge(header, claims, ed25519(strangersKey))
    expectError(t, await send(app, 'DELETE /me', { token: forged, body: { password } }), 401, 'invalid_token')
    const unknown = await issueToken(app, { userId: randomUUID(), sessionId: randomUUID() })
    const asUnknown = await send(app, 'DELETE /me', { token: unknown, body: { password } })
    expectError(t, asUnknown, 401, 'invalid_token')
    const expired = await new SignJWT({ ...claims, exp: nowSeconds() - 60 })
      .setProtectedHeader(header)
      .sign(privateKey)
    expectError(t, await send(app, 'DELETE /me', { token: expired, body: { password } }), 401, 'token_expired')
    expectError(t, await send(app, 'POST /login', { body: { username, password } }), 401, 'invalid_credentials')
  })
}))
