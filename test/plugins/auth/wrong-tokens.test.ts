import { createPublicKey, type KeyObject } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { signingAlgorithms, type SigningAlgorithm } from '../../../src/db/public-jwk.ts'
import {
  hostileTokens, makePrivateKey, resign, signerOf, twinOf, type GoodToken
} from '../../support/hostile-tokens.ts'
import { get, send } from '../../support/requests.ts'
import { forge, goodClaims, hs256, wrongHeaders, wrongTokens } from '../../support/tokens.ts'
import { bareApp, issuer, secret } from './bare-app.ts'

/** How the tokens of an algorithm are made and verified. */
interface Scheme {
  algorithm: SigningAlgorithm | 'HS256'
  header: Record<string, unknown>
  sign: (input: string) => Buffer
  key: unknown
  /** Tokens that are signed wrongly. */
  forged: Record<string, string>
}

const hmac: Scheme = {
  algorithm: 'HS256',
  header: { alg: 'HS256', typ: 'JWT' },
  sign: hs256(secret),
  key: secret,
  forged: { 'another secret': forge({ alg: 'HS256', typ: 'JWT' }, goodClaims(issuer), hs256('x'.repeat(32))) }
}

const pemOf = (key: KeyObject) => String(createPublicKey(key).export({ type: 'spki', format: 'pem' }))

const goods: GoodToken[] = signingAlgorithms.map(algorithm => ({
  algorithm,
  privateKey: makePrivateKey(algorithm),
  header: { alg: algorithm, kid: algorithm, typ: 'JWT' },
  claims: goodClaims(issuer)
}))

const schemes: Scheme[] = [hmac, ...goods.map(good => ({
  algorithm: good.algorithm,
  header: good.header,
  sign: signerOf(good.algorithm, good.privateKey),
  key: { public: pemOf(good.privateKey) },
  forged: hostileTokens(good)
}))]

/** Returns every `Authorization` that is refused, with the code of the error. */
function wrongCredentials ({ header, sign, forged }: Scheme) {
  const right = forge(header, goodClaims(issuer), sign)
  const stranger = forge(header, goodClaims('stranger'), sign)
  return [
    ...Object.entries(wrongTokens(header, goodClaims(issuer))).map(([name, { header, payload, code }]) => ({
      name, code: code ?? 'invalid_token', authorization: `Bearer ${forge(header, payload, sign)}`
    })),
    ...Object.entries(wrongHeaders(right)).map(([name, { value, code }]) => ({ name, code, authorization: value })),
    ...Object.entries({ ...forged, 'another issuer': stranger }).map(([name, token]) => ({
      name, code: 'invalid_token', authorization: `Bearer ${token}`
    }))
  ]
}

for (const scheme of schemes) {
  t.test(`every wrong variant of a token of ${scheme.algorithm} is a 401 that names the error, in an app`, async t => {
    const verify = { algorithms: [scheme.algorithm], allowedIss: issuer, allowedAud: issuer, cache: true }
    const { app } = await bareApp(t, { key: scheme.key, verify })
    const credentials = wrongCredentials(scheme)
    t.ok(credentials.length > (scheme === hmac ? 50 : 120))
    for (const { name, code, authorization } of credentials) {
      const { statusCode, headers, body } = await send(app, 'GET /me', {
        headers: authorization === undefined ? {} : { authorization }
      })
      const error = JSON.parse(body)
      const challenge = code === 'authorization_required'
        ? 'Bearer realm="signout"'
        : `Bearer realm="signout", error="invalid_token", error_description="${error.message}"`
      const answer = { statusCode, code: error.code, challenge: headers['www-authenticate'] }
      t.same(answer, { statusCode: 401, code, challenge }, name)
    }
    const right = forge(scheme.header, goodClaims(issuer), scheme.sign)
    t.equal((await get(app, '/me', right)).statusCode, 200, 'and what is right is right')
    const headers = { authorization: `bEARER ${right}` }
    t.equal((await send(app, 'GET /me', { headers })).statusCode, 200, 'in any case of the scheme')
  })
}

/** Expects that an app refuses each forgery, as a request and as a token alone, and accepts the good token. */
async function expectForgeriesRefused (t: Test, app: FastifyInstance, good: GoodToken, form: string): Promise<void> {
  const right = forge(good.header, good.claims, signerOf(good.algorithm, good.privateKey))
  t.equal((await get(app, '/me', right)).statusCode, 200, form)
  for (const [name, token] of Object.entries(hostileTokens(good))) {
    t.equal((await get(app, '/me', token)).statusCode, 401, `${form}: ${name}`)
    await t.rejects(app.verifyToken(token), { code: 'invalid_token' }, `${form}: ${name}`)
  }
}

t.test('forged tokens are refused in an app whose key is given in any form', async t => {
  for (const good of goods) {
    const pem = pemOf(good.privateKey)
    const forms: Record<string, unknown> = {
      'a key function': async () => pem,
      'a key function of a buffer': async () => Buffer.from(pem),
      'a buffer': { public: Buffer.from(pem) }
    }
    for (const [form, key] of Object.entries(forms)) {
      const { app } = await bareApp(t, { key, verify: { algorithms: [good.algorithm] } })
      await expectForgeriesRefused(t, app, good, `${good.algorithm}, ${form}`)
    }
  }
})

t.test('forged tokens are refused in an app with keys of several algorithms, by kid', async t => {
  const pems = new Map<unknown, string>(goods.map(({ header, privateKey }) => [header['kid'], pemOf(privateKey)]))
  const { app } = await bareApp(t, {
    key: async (_request: unknown, token: { header: { kid?: unknown } }) => pems.get(token.header.kid),
    jwt: { decode: { complete: true } as never },
    verify: { algorithms: [...signingAlgorithms] }
  })
  for (const good of goods) {
    await expectForgeriesRefused(t, app, good, good.algorithm)
    for (const other of goods.filter(other => other !== good)) {
      const { kid, alg } = other.header
      for (const change of [{ kid }, { alg }, { kid, alg }]) {
        const token = forge({ ...good.header, ...change }, good.claims, signerOf(good.algorithm, good.privateKey))
        t.equal((await get(app, '/me', token)).statusCode, 401, `${good.algorithm} with ${JSON.stringify(change)}`)
      }
    }
  }
})

t.test('the public key is no secret in an app that names no algorithm, however the key is spaced', async t => {
  for (const good of goods) {
    for (const before of ['', '\n', '  ', '\r\n\t', '\uFEFF', '# key\n']) {
      const pem = `${before}${pemOf(good.privateKey)}${before.trim()}`
      const token = forge({ ...good.header, alg: 'HS256' }, good.claims, hs256(pem))
      for (const key of [{ public: pem }, async () => pem]) {
        const built = await bareApp(t, { key, verify: { algorithms: undefined } }).catch((error: unknown) => error)
        // An app that does not start accepts nothing either.
        if (built instanceof Error) continue
        const { app } = built as Awaited<ReturnType<typeof bareApp>>
        t.equal((await get(app, '/me', token)).statusCode, 401, `${good.algorithm}: ${JSON.stringify(before)}`)
      }
    }
  }
})

t.test('the second valid signature of a token of ES256 is refused in an app once its jti is revoked', async t => {
  const good = goods.find(({ algorithm }) => algorithm === 'ES256') as GoodToken
  const { app } = await bareApp(t, { key: { public: pemOf(good.privateKey) }, verify: { algorithms: ['ES256'] } })
  const token = forge(good.header, good.claims, signerOf('ES256', good.privateKey))
  const both = [token, resign(token, twinOf)]
  for (const each of both) t.equal((await get(app, '/me', each)).statusCode, 200)
  const { jti, exp } = good.claims
  await app.revoker.revoke([{ scope: 'token', id: String(jti), expiresAt: Number(exp) }])
  for (const each of both) t.equal((await get(app, '/me', each)).json().code, 'token_revoked')
})
