import { createPrivateKey, type KeyObject } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { decodeProtectedHeader } from 'jose'
import t, { type Test } from 'tap'
import { signingAlgorithms, type SigningAlgorithm } from '../../src/db/public-jwk.ts'
import { listKeys } from '../../src/keys/key-repository.ts'
import { build, issuer, serversEnv, type Env } from '../support/app.ts'
import { hostileTokens, resign, signerOf, twinOf, type GoodToken } from '../support/hostile-tokens.ts'
import { letSpareAge } from '../support/keys.ts'
import { signUp } from '../support/people.ts'
import { expectError, get, logOut, send } from '../support/requests.ts'
import { forge, goodClaims, wrongHeaders, wrongTokens } from '../support/tokens.ts'

/** A header that a client sends, and the code that it gets. */
interface Refused {
  value: string | undefined
  code: string
}

for (const algorithm of signingAlgorithms) {
  t.test(`every wrong variant of a token of ${algorithm} is a 401 that names the error`, async t => {
    const app = await build(t, { ...await serversEnv(t), SIGNING_ALGORITHM: algorithm, RATE_LIMITS: 'off' })
    const ada = await signUp(app, 'ada')
    const good = { ...await goodToken(app), claims: { ...goodClaims(issuer), sub: ada.id } }
    t.equal(decodeProtectedHeader(ada.token).alg, algorithm)
    const right = forge(good.header, good.claims, signerOf(algorithm, good.privateKey))
    for (const route of ['/token', '/me']) {
      t.equal((await get(app, route, right)).statusCode, 200, 'the tokens are right but for what is made wrong')
    }
    const variants = Object.entries(refusedVariants(good, ada.token))
    t.ok(variants.length > 130)
    // At once, because the service asks for an unknown kid once a second.
    await Promise.all(variants.flatMap(([name, refused]) =>
      (['GET /token', 'GET /me'] as const).map(route => expectRefused(t, app, route, name, refused))))
    await Promise.all(Object.entries(hostileTokens(good)).map(async ([name, token]) => {
      t.equal(await app.accessTokens.read(token), undefined, `${name}, for the end of a session`)
    }))
  })

  t.test(`another spelling of a revoked token of ${algorithm} is refused, by its jti`, async t => {
    const app = await build(t, { ...await serversEnv(t), SIGNING_ALGORITHM: algorithm })
    const { token } = await signUp(app, 'ada')
    const bytesOf = (text: string) => Buffer.from(text.split('.')[2] ?? '', 'base64url')
    // The last character of a base64url signature of 64 or 256 bytes has four bits that say nothing.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const other = token.slice(0, -1) + alphabet[alphabet.indexOf(token.at(-1) ?? '') ^ 1]
    t.not(other, token)
    t.same(bytesOf(other), bytesOf(token))
    const spellings = [other, `${token}=`, `${token}==`]
    for (const spelling of spellings) t.not((await get(app, '/token', spelling)).statusCode, 500)
    await logOut(app, token)
    for (const spelling of spellings) t.equal((await get(app, '/token', spelling)).statusCode, 401)
  })
}

t.test('the second valid signature of a token of ES256 is refused once either was logged out', async t => {
  const app = await build(t, { ...await serversEnv(t), SIGNING_ALGORITHM: 'ES256' })
  for (const order of [[0, 1], [1, 0]] as const) {
    const { token } = await signUp(app)
    const both = [token, resign(token, twinOf)] as const
    t.not(both[0], both[1])
    for (const each of both) {
      for (const route of ['/token', '/me']) t.equal((await get(app, route, each)).statusCode, 200, 'both are valid')
    }
    t.equal((await logOut(app, both[order[0]])).statusCode, 200)
    for (const index of order) {
      for (const route of ['/token', '/me']) {
        await expectError(t, await get(app, route, both[index]), 401, 'token_revoked')
      }
    }
  }
})

t.test('no token is accepted under the kid of another key, with keys of all algorithms in use', async t => {
  const env = await serversEnv(t)
  const keys: GoodToken[] = []
  for (const algorithm of signingAlgorithms) keys.push(await goodToken(await rotatedTo(t, env, algorithm)))
  t.same(keys.map(({ algorithm }) => algorithm), [...signingAlgorithms])
  const app = await build(t, { ...env, SIGNING_ALGORITHM: 'RS256' })
  for (const [index, { algorithm, privateKey, header, claims }] of keys.entries()) {
    const tokenWith = (change: object) => forge({ ...header, ...change }, claims, signerOf(algorithm, privateKey))
    t.equal((await get(app, '/token', tokenWith({}))).statusCode, 200, algorithm)
    for (const [otherIndex, { header: other }] of keys.entries()) {
      if (otherIndex === index) continue
      for (const change of [{ kid: other['kid'] }, { alg: other['alg'] }, { kid: other['kid'], alg: other['alg'] }]) {
        const name = `${algorithm} with ${JSON.stringify(change)}`
        const token = tokenWith(change)
        await expectRefused(t, app, 'GET /token', name, { value: `Bearer ${token}`, code: 'invalid_token' })
        t.equal(await app.accessTokens.read(token), undefined, `${name}, for the end of a session`)
      }
    }
  }
})

async function expectRefused (
  t: Test, app: FastifyInstance, route: 'GET /token' | 'GET /me', name: string, { value, code }: Refused
): Promise<void> {
  const answer = await send(app, route, { headers: value === undefined ? {} : { authorization: value } })
  const body = answer.json()
  const challenge = code === 'authorization_required'
    ? 'Bearer realm="signout"'
    : `Bearer realm="signout", error="invalid_token", error_description="${body.description}"`
  t.same(
    { status: answer.statusCode, body, challenge: answer.headers['www-authenticate'] },
    { status: 401, body: { error: code, description: String(body.description) }, challenge },
    name
  )
}

/** Returns everything that must be refused: wrong claims that are rightly signed, wrong headers, and forgeries. */
function refusedVariants (good: GoodToken, token: string): Record<string, Refused> {
  const { algorithm, privateKey, header, claims } = good
  const sign = signerOf(algorithm, privateKey)
  const signed = Object.entries(wrongTokensOfOurs(header, claims)).map(([name, wrong]) =>
    [name, { value: `Bearer ${forge(wrong.header, wrong.payload, sign)}`, code: wrong.code ?? 'invalid_token' }])
  const forged = Object.entries(hostileTokens(good)).map(([name, hostile]) =>
    [`forged: ${name}`, { value: `Bearer ${hostile}`, code: 'invalid_token' }])
  return { ...Object.fromEntries([...signed, ...forged]), ...wrongHeaders(token) }
}

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
    'kid array': { header: { ...header, kid: [header['kid']] }, payload: claims },
    'kid of an object': { header: { ...header, kid: 'constructor' }, payload: claims }
  }
}

/** Builds a replica that makes keys of an algorithm, and lets one sign. */
async function rotatedTo (t: Test, env: Env, algorithm: SigningAlgorithm): Promise<FastifyInstance> {
  const app = await build(t, { ...env, SIGNING_ALGORITHM: algorithm })
  if ((await app.keyRing.getSigningKey()).algorithm === algorithm) return app
  await letSpareAge(app)
  await app.keyAdministration.rotate({})
  return app
}

/** Returns a token of the service, to be signed. The key cannot be exported, so the test reads it from the database. */
async function goodToken (app: FastifyInstance): Promise<GoodToken> {
  const stored = (await app.database.run(listKeys)).find(({ state }) => state === 'active')
  if (stored === undefined) throw new Error('There is no key.')
  const jwk = await app.keyEncryption.decrypt({ name: stored.kid, encrypted: stored.encryptedPrivateJwk })
  const privateKey: KeyObject = createPrivateKey({ key: jwk as Record<string, string>, format: 'jwk' })
  const { alg: algorithm } = stored.publicJwk
  const header = { alg: algorithm, kid: stored.kid, typ: 'at+jwt' }
  return { algorithm, privateKey, header, claims: goodClaims(issuer) }
}
