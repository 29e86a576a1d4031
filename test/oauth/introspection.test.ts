import t from 'tap'
import { issuer, shareStorages } from '../support/app.ts'
import { letTimePass } from '../support/database.ts'
import { addClient, introspect, postForm } from '../support/oauth.ts'
import { signUp } from '../support/people.ts'
import { expectError, get, logOut, refresh } from '../support/requests.ts'
import { claimsOf, expire } from '../support/sessions.ts'
import { forge, goodClaims, hs256, nowSeconds } from '../support/tokens.ts'
import { signerOf, strangerOf } from '../support/hostile-tokens.ts'

const onStorages = shareStorages(t)

t.test('POST /oauth/introspect answers the claims of an access token that is accepted', t =>
  onStorages(t, async (t, app) => {
    const client = await addClient(app)
    const { pair } = await signUp(app)
    const answer = await introspect(app, client, pair.access_token)
    t.equal(answer.statusCode, 200)
    t.equal(answer.headers['cache-control'], 'no-store')
    const claims = claimsOf(pair)
    t.same(answer.json(), {
      active: true, token_type: 'Bearer', client_id: 'signout', iss: issuer, aud: issuer, ...claims
    })
    t.match((await get(app, '/token', pair.access_token)).json(), { exp: answer.json().exp, scope: 'user' })
  }))

t.test('POST /oauth/introspect answers the session of a refresh token, and nothing an API looks for', t =>
  onStorages(t, async (t, app) => {
    const client = await addClient(app)
    const { pair } = await signUp(app)
    const { sid, sub } = claimsOf(pair)
    const { iat, exp, auth_time: authTime, ...rest } = (await introspect(app, client, pair.refresh_token)).json()
    t.same(rest, { active: true, client_id: 'signout', iss: issuer, sub, sid })
    t.ok(exp > nowSeconds() + pair.expires_in && iat <= nowSeconds() + 1 && authTime === iat)
    const next = (await refresh(app, pair.refresh_token)).json()
    t.same((await introspect(app, client, pair.refresh_token)).json(), { active: false }, 'a spent one')
    t.equal((await introspect(app, client, next.refresh_token)).json().active, true)
    await letTimePass(app, 1_000_000)
    await letTimePass(app, 1_000_000)
    t.same((await introspect(app, client, next.refresh_token)).json(), { active: false }, 'an expired one')
  }))

t.test('POST /oauth/introspect answers active false and nothing more for any other text', t =>
  onStorages(t, async (t, app) => {
    const client = await addClient(app)
    const { pair } = await signUp(app)
    const { pair: left } = await signUp(app)
    await logOut(app, left.access_token)
    const stranger = (header: object, claims: object) => forge(
      { alg: 'EdDSA', typ: 'at+jwt', ...header }, claims, signerOf('EdDSA', strangerOf('EdDSA'))
    )
    const inactive: Record<string, string> = {
      'a revoked access token': left.access_token,
      'the refresh token of a session that has ended': left.refresh_token,
      'an expired access token': await expire(app, pair),
      'a token of another issuer': stranger({ kid: 'a' }, goodClaims('https://other.example.com')),
      'a token of an unknown key': stranger({ kid: 'a' }, goodClaims(issuer)),
      'an unsigned token': forge({ alg: 'none', typ: 'at+jwt' }, goodClaims(issuer), () => ''),
      'a token of HS256': forge({ alg: 'HS256', typ: 'at+jwt' }, goodClaims(issuer), hs256('secret')),
      'an unknown refresh token': 'a'.repeat(42) + 'A',
      unicode: 'žluťoučký kůň 🐎 \u0000 ﷽',
      'a long text': 'x'.repeat(60_000),
      dots: '...'
    }
    for (const [name, token] of Object.entries(inactive)) {
      const answer = await introspect(app, client, token)
      t.equal(answer.statusCode, 200, name)
      t.equal(answer.body, '{"active":false}', name)
      t.equal(answer.headers['cache-control'], 'no-store', name)
    }
  }))

t.test('POST /oauth/introspect is for registered clients alone', t => onStorages(t, async (t, app) => {
  const { pair: { access_token: token } } = await signUp(app)
  const anonymous = await postForm(app, 'introspect', { token })
  expectError(t, anonymous, 401, 'invalid_client')
  t.equal(anonymous.headers['www-authenticate'], 'Basic realm="signout"')
  t.equal(anonymous.headers['cache-control'], 'no-store')
  expectError(t, await postForm(app, 'introspect', { token, client_id: 'signout' }), 400, 'unauthorized_client')
  const byBearer = await postForm(app, 'introspect', { token }, { headers: { authorization: `Bearer ${token}` } })
  expectError(t, byBearer, 401, 'invalid_client')
}))

t.test('the hint of an introspection changes nothing', t => onStorages(t, async (t, app) => {
  const client = await addClient(app)
  const { pair } = await signUp(app)
  for (const hint of ['access_token', 'refresh_token', 'id_token']) {
    for (const token of [pair.access_token, pair.refresh_token]) {
      const form = { token, token_type_hint: hint }
      t.equal((await postForm(app, 'introspect', form, client)).json().active, true, hint)
    }
  }
}))
