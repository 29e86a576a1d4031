import { SignJWT, decodeJwt } from 'jose'
import t from 'tap'
import { loadConfig } from '../../src/config.ts'
import { build, buildUnready, issuer, onEachStorage, serversEnv } from '../support/app.ts'
import { issueToken, signUp } from '../support/people.ts'
import { get } from '../support/requests.ts'
import { goodClaims, nowSeconds } from '../support/tokens.ts'

t.test('GET /me answers the user of the token', t => onEachStorage(t, async (t, app) => {
  const ada = await signUp(app, 'Ada')
  const answer = await get(app, '/me', ada.token)
  t.equal(answer.statusCode, 200)
  const { created_at: createdAt, ...rest } = answer.json()
  t.same(rest, { id: ada.id, username: 'Ada', role: 'user' })
  t.equal(createdAt, new Date(createdAt).toISOString())

  const orphan = await issueToken(app, { userId: crypto.randomUUID(), sessionId: crypto.randomUUID() })
  const refused = await get(app, '/me', orphan)
  t.equal(refused.json().error, 'invalid_token', 'a user who is not there')
  t.equal(
    refused.headers['www-authenticate'],
    'Bearer realm="signout", error="invalid_token", error_description="The token is invalid."'
  )
}))

t.test('verified tokens are remembered, and their claims cannot be changed', async t => {
  const app = buildUnready(t, loadConfig(await serversEnv(t)))
  const seen: unknown[] = []
  app.after(() => { app.get('/seen', { onRequest: app.authenticate }, async request => { seen.push(request.user) }) })
  const { token } = await signUp(app, 'ada')
  await get(app, '/seen', token)
  await get(app, '/seen', token)
  t.equal(seen.length, 2)
  t.equal(seen[0], seen[1])
  t.ok(Object.isFrozen(seen[0]))
})

t.test('GET /token answers the claims of the token, without the database', t => onEachStorage(t, async (t, app) => {
  const ada = await signUp(app, 'ada')
  const { sub, sid, scope, iat, exp, auth_time: authTime } = decodeJwt(ada.token)
  await app.database.close()
  const answer = await get(app, '/token', ada.token)
  t.equal(answer.statusCode, 200)
  t.same(answer.json(), { sub, sid, scope, iat, exp, auth_time: authTime })
  const me = await get(app, '/me', ada.token)
  t.equal(me.statusCode, 503)
  t.equal(me.json().error, 'service_unavailable')
}))

t.test('the settings for lifetime, audience and leeway apply to tokens', async t => {
  const app = await build(t, {
    ...await serversEnv(t), ACCESS_TOKEN_TTL: '60', AUDIENCE: 'the-api', CLOCK_LEEWAY: '30'
  })
  const ada = await signUp(app, 'ada')
  const claims = decodeJwt(ada.token)
  t.equal(claims.aud, 'the-api')
  t.equal(Number(claims.exp) - Number(claims.iat), 60)
  t.equal((await get(app, '/token', ada.token)).statusCode, 200)

  const key = await app.keyRing.getSigningKey()
  const expiredSince = (seconds: number) =>
    new SignJWT({ ...goodClaims(issuer), aud: 'the-api', exp: nowSeconds() - seconds })
      .setProtectedHeader({ alg: 'EdDSA', kid: key.kid, typ: 'at+jwt' })
      .sign(key.privateKey)
  t.equal((await get(app, '/token', await expiredSince(20))).statusCode, 200, 'within the leeway')
  t.equal((await get(app, '/token', await expiredSince(40))).json().error, 'token_expired', 'beyond it')
})
