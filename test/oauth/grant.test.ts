import { decodeJwt, decodeProtectedHeader } from 'jose'
import t from 'tap'
import { issuer, shareServers } from '../support/app.ts'
import { addClient, basic, postForm } from '../support/oauth.ts'
import { signUp, signUpAdmin, type Pair } from '../support/people.ts'
import { expectError, logOut, refresh } from '../support/requests.ts'
import { claimsOf, isAccepted, signInAndRefresh } from '../support/sessions.ts'

const onServers = shareServers(t)
const own = { grant_type: 'refresh_token', client_id: 'signout' }

t.test('POST /oauth/token exchanges a refresh token, as POST /refresh does', t => onServers(t, async (t, app) => {
  const { pair } = await signUp(app)
  const answer = await postForm(app, 'token', { ...own, refresh_token: pair.refresh_token, unknown: 'x' })
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['cache-control'], 'no-store')
  const next = answer.json()
  t.match(next, { token_type: 'Bearer', expires_in: 900, refresh_token: /^[\w-]{43}$/, scope: 'user' })
  t.equal(claimsOf(next).sid, claimsOf(pair).sid)
  t.ok(await isAccepted(app, next))
  t.equal((await refresh(app, next.refresh_token)).statusCode, 200)
}))

t.test('access tokens have the header and the claims of RFC 9068', t => onServers(t, async (t, app) => {
  const { pair, id } = await signUpAdmin(app)
  const { typ, alg, kid } = decodeProtectedHeader(pair.access_token)
  t.same({ typ, alg }, { typ: 'at+jwt', alg: 'EdDSA' })
  t.type(kid, 'string')
  const claims = decodeJwt(pair.access_token)
  t.match(claims, {
    iss: issuer, aud: issuer, sub: id, client_id: 'signout', jti: String, exp: Number, iat: Number, scope: 'admin'
  })
  t.equal(claims['auth_time'], claims.iat)
}))

t.test('a refresh token that is spent, unknown or of an ended session gets invalid_grant', t =>
  onServers(t, async (t, app) => {
    const { username, pair: ended } = await signUp(app)
    await logOut(app, ended.access_token)
    const [spent, , newest] = await signInAndRefresh(app, username, 2) as [Pair, Pair, Pair]
    for (const token of [ended.refresh_token, spent.refresh_token, newest.refresh_token, 'unknown', 'ř'.repeat(43)]) {
      const answer = await postForm(app, 'token', { ...own, refresh_token: token })
      expectError(t, answer, 400, 'invalid_grant')
      t.notOk(answer.headers['www-authenticate'])
    }
    t.notOk(await isAccepted(app, newest), 'the reuse has ended the session')
  }))

t.test('POST /oauth/token has no other grant, and none for registered clients', t => onServers(t, async (t, app) => {
  const { username, pair } = await signUp(app)
  const { id, secret } = await addClient(app)
  for (const type of ['password', 'client_credentials', 'authorization_code', 'Refresh_Token', 'refresh_token ']) {
    const form = { ...own, grant_type: type, username, password: 'x', refresh_token: pair.refresh_token }
    expectError(t, await postForm(app, 'token', form), 400, 'unsupported_grant_type')
  }
  const form = { grant_type: 'refresh_token', refresh_token: pair.refresh_token }
  const registered = await postForm(app, 'token', form, { headers: basic(id, secret) })
  expectError(t, registered, 400, 'unauthorized_client')
  expectError(t, await postForm(app, 'token', form), 401, 'invalid_client')
  expectError(t, await postForm(app, 'token', own), 400, 'invalid_request')
  t.equal((await postForm(app, 'token', { ...own, ...form })).statusCode, 200, 'the token was not spent')
}))

t.test('a scope beyond that of the session gets invalid_scope, and spends no token', t =>
  onServers(t, async (t, app) => {
    const { pair } = await signUp(app)
    const form = { ...own, refresh_token: pair.refresh_token }
    for (const scope of ['admin', 'user admin', 'USER']) {
      expectError(t, await postForm(app, 'token', { ...form, scope }), 400, 'invalid_scope')
    }
    const answer = await postForm(app, 'token', { ...form, scope: 'user' })
    t.equal(answer.json().scope, 'user')
    expectError(t, await postForm(app, 'token', { ...form, scope: 'admin' }), 400, 'invalid_scope', 'in the grace too')
    t.ok(await isAccepted(app, answer.json()))
  }))
