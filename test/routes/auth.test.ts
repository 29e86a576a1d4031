import { decodeJwt, decodeProtectedHeader } from 'jose'
import t from 'tap'
import { issuer, shareStorages } from '../support/app.ts'
import { password, signIn, signUp, type Pair } from '../support/people.ts'
import { get, logOut, refresh, send } from '../support/requests.ts'
import { randomName } from '../support/services.ts'
import { claimsOf } from '../support/sessions.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const revoked = { description: 'The token has been revoked.', error: 'token_revoked' }

const storages = shareStorages(t)

t.test('users register with POST /register', t => storages(t, async (t, app) => {
  const register = (payload: object) => send(app, 'POST /register', { body: payload })

  await t.test('POST /register creates a user', async t => {
    const answer = await register({ username: 'Ada@example.com', password })
    t.equal(answer.statusCode, 201)
    t.equal(answer.headers.location, '/me')
    const { id, username, created_at: createdAt, ...rest } = answer.json()
    t.match(id, uuid)
    t.equal(username, 'Ada@example.com')
    t.equal(createdAt, new Date(createdAt).toISOString())
    t.same(rest, { role: 'user' }, 'and answers nothing else')
  })

  await t.test('POST /register refuses a taken username, in upper and lower case', async t => {
    const answer = await register({ username: 'aDA@EXAMPLE.com', password })
    t.equal(answer.statusCode, 409)
    t.same(answer.json(), { error: 'username_taken', description: 'This username is taken.' })
  })

  await t.test('POST /register creates one user from two registrations at the same time', async t => {
    const username = randomName()
    const answers = await Promise.all([
      register({ username, password }), register({ username: username.toUpperCase(), password })
    ])
    t.same(answers.map(answer => answer.statusCode).sort(), [201, 409])
  })

  await t.test('POST /register refuses an invalid username', async t => {
    for (const username of ['ab', 'a'.repeat(255), 'a b c', 'añe', 'a\nb', 'a/b', 'ab\u0000']) {
      const answer = await register({ username, password })
      t.equal(answer.statusCode, 400, JSON.stringify(username))
      t.match(answer.json(), { error: 'invalid_request', details: [{ path: '/username' }] })
    }
  })

  await t.test('POST /register accepts every character that a username may have', async t => {
    for (const username of ['a.1', '_%+@-', 'x'.repeat(254), 'Z'.repeat(3)]) {
      t.equal((await register({ username, password })).statusCode, 201, username)
    }
  })
}))

t.test('users sign in with POST /login', t => storages(t, async (t, app) => {
  const login = (payload: object) => send(app, 'POST /login', { body: payload })
  const ada = await signUp(app, 'ada')

  await t.test('POST /login answers an access token in the profile of RFC 9068', async t => {
    const answer = await login({ username: 'ADA', password })
    t.equal(answer.statusCode, 200)
    t.equal(answer.headers['cache-control'], 'no-store')
    const { access_token: token, ...rest } = answer.json()
    t.match(rest, {
      token_type: 'Bearer', expires_in: 900, refresh_token: /^[\w-]{43}$/, refresh_expires_in: 1_209_600
    })
    t.equal(Object.keys(rest).length, 4)
    t.match(decodeProtectedHeader(token), { alg: 'EdDSA', typ: 'at+jwt', kid: /.{43}/ })
    const claims = decodeJwt(token)
    t.match(claims, {
      iss: issuer, aud: issuer, sub: ada.id, jti: uuid, sid: uuid, client_id: 'signout', scope: 'user'
    })
    t.equal(Number(claims.exp) - Number(claims.iat), 900)
    const names = ['aud', 'auth_time', 'client_id', 'exp', 'iat', 'iss', 'jti', 'scope', 'sid', 'sub']
    t.same(Object.keys(claims).sort(), names)
  })

  await t.test('POST /login opens a new session each time', async t => {
    const [first, second] = [claimsOf(await signIn(app, 'ada')), claimsOf(await signIn(app, 'ada'))]
    t.not(first.sid, second.sid)
    t.not(first.jti, second.jti)
  })

  await t.test('POST /login gives the same answer to an unknown username and a wrong password', async t => {
    const wrong = await login({ username: 'ada', password: 'not the right password' })
    t.equal(wrong.statusCode, 401)
    t.same(wrong.json(), { error: 'invalid_credentials', description: 'The username or the password is wrong.' })
    t.equal(wrong.headers['www-authenticate'], 'Bearer realm="signout"')
    for (const username of ['nobody', 'x', 'not a username', 'ada\u0000', 'é'.repeat(100)]) {
      const unknown = await login({ username, password })
      t.equal(unknown.statusCode, 401, JSON.stringify(username))
      t.equal(unknown.body, wrong.body)
      t.same(withoutOwnHeaders(unknown.headers), withoutOwnHeaders(wrong.headers))
    }
  })

  await t.test('POST /login accepts any Unicode form of the same password', async t => {
    const characters = 'Ünïcödé păsswörd'
    t.equal(
      (
        await send(app, 'POST /register', { body: { username: 'nfc', password: characters.normalize('NFD') } })
      ).statusCode,
      201
    )
    t.equal((await login({ username: 'nfc', password: characters.normalize('NFC') })).statusCode, 200)
  })
}))

t.test('a token is refused after POST /logout, and other sessions continue', t => storages(t, async (t, app) => {
  const grace = await signUp(app, 'grace')
  const { access_token: other } = await signIn(app, 'grace')

  const answer = await logOut(app, grace.token)
  t.equal(answer.statusCode, 200)
  t.same(answer.json(), { message: 'Successfully logged out' })

  for (const refused of [
    await get(app, '/me', grace.token), await get(app, '/token', grace.token), await logOut(app, grace.token)
  ]) {
    t.equal(refused.statusCode, 401)
    t.same(refused.json(), revoked)
    t.equal(
      refused.headers['www-authenticate'],
      'Bearer realm="signout", error="invalid_token", error_description="The token has been revoked."'
    )
  }
  t.equal((await get(app, '/me', other)).statusCode, 200, 'another session of the same user goes on')
  const { access_token: later } = await signIn(app, 'grace')
  t.equal((await get(app, '/me', later)).statusCode, 200, 'and a new one works at once')

  await t.test('POST /logout ends every token of the session (P5)', async t => {
    const session = await signIn(app, 'grace')
    const sibling = (await refresh(app, session.refresh_token)).json() as Pair
    t.equal((await get(app, '/me', sibling.access_token)).statusCode, 200)
    t.equal((await logOut(app, session.access_token)).statusCode, 200)
    t.same((await get(app, '/me', sibling.access_token)).json(), revoked)
    t.same((await refresh(app, sibling.refresh_token)).json(), revoked)
  })

  await t.test('POST /logout accepts an empty body with any content type, and no other body', async t => {
    const logout = async (payload: string, type = 'application/json') => await send(app, 'POST /logout', {
      headers: { authorization: `Bearer ${(await signIn(app, 'grace')).access_token}`, 'content-type': type },
      body: payload
    })
    t.equal((await logout('')).statusCode, 200)
    t.equal((await logout('', 'application/x-www-form-urlencoded')).statusCode, 200, 'as curl -d sends it')
    t.equal((await logout('{}')).statusCode, 200)
    t.equal((await logout('a=b', 'application/x-www-form-urlencoded')).statusCode, 415)
    const unknown = await logout('{"everything":true}')
    t.equal(unknown.statusCode, 400)
    t.same(unknown.json().details, [{ path: '/everything', message: 'is not known here' }])
  })
}))

function withoutOwnHeaders ({ date, 'x-request-id': id, ...headers }: Record<string, unknown>) {
  return headers
}
