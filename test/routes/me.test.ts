import { createPrivateKey } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { SignJWT, decodeJwt } from 'jose'
import t from 'tap'
import { loadConfig } from '../../src/config.ts'
import { listKeys } from '../../src/keys/key-repository.ts'
import { build, buildUnready, issuer, onEachStorage, serversEnv } from '../support/app.ts'
import { issueToken, signUp } from '../support/people.ts'
import { get, logOut, send } from '../support/requests.ts'
import {
  ed25519, forge, goodClaims, hs256, nowSeconds, strangersKey, wrongHeaders, wrongTokens
} from '../support/tokens.ts'

t.test('GET /me answers the user of the token', t => onEachStorage(t, async (t, app) => {
  const ada = await signUp(app, 'Ada')
  const answer = await get(app, '/me', ada.token)
  t.equal(answer.statusCode, 200)
  const { created_at: createdAt, ...rest } = answer.json()
  t.same(rest, { id: ada.id, username: 'Ada' })
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

t.test('every wrong variant of a token of the service is a 401 that names the error', async t => {
  const app = await build(t, await serversEnv(t))
  const ada = await signUp(app, 'ada')
  const sign = await ourSigner(app)
  const header = { alg: 'EdDSA', kid: (await app.keyRing.getSigningKey()).kid, typ: 'at+jwt' }
  const claims = goodClaims(issuer)
  const right = await get(app, '/token', forge(header, claims, sign))
  t.equal(right.statusCode, 200, 'the tokens of this test are right but for what is made wrong')

  const headers = [
    ...Object.entries(wrongTokensOfOurs(header, claims)).map(([name, { header, payload, code = 'invalid_token' }]) => ({
      name, code, value: `Bearer ${forge(header, payload, sign)}`
    })),
    ...Object.entries(wrongHeaders(ada.token)).map(([name, { value, code }]) => ({ name, code, value })),
    {
      name: "a stranger's key", code: 'invalid_token', value: `Bearer ${forge(header, claims, ed25519(strangersKey))}`
    },
    {
      name: 'our public key as a secret',
      code: 'invalid_token',
      value: `Bearer ${forge({ ...header, alg: 'HS256' }, claims, hs256(String(app.keyRing.findAny(header.kid)?.pem)))}`
    },
    { name: 'unsigned', code: 'invalid_token', value: `Bearer ${forge({ ...header, alg: 'none' }, claims, () => '')}` }
  ]
  t.ok(headers.length > 60)
  for (const { name, code, value } of headers) {
    const answer = await send(app, 'GET /token', { headers: value === undefined ? {} : { authorization: value } })
    t.equal(answer.statusCode, 401, name)
    const { error, description, ...rest } = answer.json()
    t.equal(error, code, name)
    t.same(rest, {}, name)
    t.equal(answer.headers['www-authenticate'], code === 'authorization_required'
      ? 'Bearer realm="signout"'
      : `Bearer realm="signout", error="invalid_token", error_description="${description}"`, name)
  }
})

t.test('another spelling of a revoked token is refused, since the blocklist is keyed on the jti', async t => {
  const app = await build(t, await serversEnv(t))
  const { token } = await signUp(app, 'ada')
  await logOut(app, token)
  // The last character of a base64url signature of 64 bytes has four bits that say nothing.
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(token.at(-1) ?? '')
  const twin = token.slice(0, -1) + alphabet[last ^ 1]
  t.not(twin, token)
  t.same(Buffer.from(twin.split('.')[2] ?? '', 'base64url'), Buffer.from(token.split('.')[2] ?? '', 'base64url'))
  t.equal((await get(app, '/token', twin)).statusCode, 401)
})

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

/** Everything that can be wrong with a token, and what else can be in the profile of RFC 9068. */
function wrongTokensOfOurs (
  header: Record<string, unknown>, claims: Record<string, unknown>
): ReturnType<typeof wrongTokens> {
  const change = (name: string, value: unknown) => ({ ...claims, [name]: value })
  return {
    ...wrongTokens(header, claims),
    ...Object.fromEntries(
      Object.keys(claims).map(name => [`${name} missing`, { header, payload: change(name, undefined) }])
    ),
    'another issuer': { header, payload: change('iss', 'https://stranger.example') },
    'another audience': { header, payload: change('aud', 'stranger') },
    'several audiences': { header, payload: change('aud', [issuer, 'stranger']) },
    'sub no UUID': { header, payload: change('sub', 'ada') },
    'jti no UUID': { header, payload: change('jti', 'one') },
    'sid no UUID': { header, payload: change('sid', 'one') },
    ...Object.fromEntries(
      ['sub', 'jti', 'sid'].map(name => [
        `${name} in capitals`, { header, payload: change(name, String(claims[name]).toUpperCase()) }
      ])
    ),
    'scope array': { header, payload: change('scope', ['user']) },
    'client_id number': { header, payload: change('client_id', 1) },
    'typ of an ID token': { header: { ...header, typ: 'JWT' }, payload: claims },
    'typ missing': { header: { ...header, typ: undefined }, payload: claims },
    'kid unknown': { header: { ...header, kid: 'another' }, payload: claims },
    'kid missing': { header: { ...header, kid: undefined }, payload: claims },
    'kid array': { header: { ...header, kid: [header.kid] }, payload: claims },
    'kid of an object': { header: { ...header, kid: 'constructor' }, payload: claims },
    'alg ES256': { header: { ...header, alg: 'ES256' }, payload: claims }
  }
}

/** Signs as the service does. Its key cannot be exported, so the test reads it from the database. */
async function ourSigner (app: FastifyInstance): Promise<(input: string) => Buffer> {
  const stored = (await app.database.run(listKeys)).find(({ state }) => state === 'active')
  if (stored === undefined) throw new Error('There is no key.')
  const key = await app.keyEncryption.decrypt({ name: stored.kid, encrypted: stored.encryptedPrivateJwk })
  return ed25519(createPrivateKey({ key: key as Record<string, string>, format: 'jwk' }))
}
