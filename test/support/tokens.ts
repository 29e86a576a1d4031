import { createHmac, generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto'

type Json = Record<string, unknown>

/** Makes a token by hand, so that it can be wrong in ways that a library would not allow. */
export function forge (header: unknown, payload: unknown, signer: (input: string) => Buffer | string): string {
  const encode = (part: unknown) =>
    Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')
  const input = `${encode(header)}.${encode(payload)}`
  const signature = signer(input)
  return `${input}.${typeof signature === 'string' ? signature : signature.toString('base64url')}`
}

export const hs256 = (secret: string | Buffer) => (input: string) => createHmac('sha256', secret).update(input).digest()
export const ed25519 = (key: KeyObject) => (input: string) => sign(null, Buffer.from(input), key)
export const strangersKey: KeyObject = generateKeyPairSync('ed25519').privateKey

export const nowSeconds = () => Math.floor(Date.now() / 1000)

/** Returns the claims of a token that was issued after any cut-off. */
export function issuedLately (jti: string, sid?: string): { jti: string, sid?: string, iat: number } {
  return { jti, ...sid !== undefined && { sid }, iat: nowSeconds() + 60 }
}

/** Returns claims with which a token of that issuer is accepted. */
export function goodClaims (issuer: string): Json {
  return {
    iss: issuer,
    aud: issuer,
    sub: randomUUID(),
    jti: randomUUID(),
    sid: randomUUID(),
    iat: nowSeconds(),
    exp: nowSeconds() + 60,
    client_id: 'signout',
    scope: 'user'
  }
}

/**
 * Returns everything that can be wrong with a signed token, each as a header and a payload to sign with the right key.
 * The verifier expects `header` and `claims`, pins the algorithm, and allows a leeway of five seconds.
 */
export function wrongTokens (
  header: Json, claims: Json
): Record<string, { header: unknown, payload: unknown, code?: string }> {
  const payload = (change: Json) => ({ header, payload: { ...claims, ...change } })
  const without = (claim: string) => ({
    header, payload: Object.fromEntries(Object.entries(claims).filter(([name]) => name !== claim))
  })
  const headed = (change: Json) => ({ header: { ...header, ...change }, payload: claims })
  const raw = (change: (json: string) => string) => ({ header, payload: change(JSON.stringify(claims)) })
  return {
    expired: { ...payload({ exp: nowSeconds() - 10 }), code: 'token_expired' },
    'exp missing': without('exp'),
    'exp text': payload({ exp: String(nowSeconds() + 60) }),
    'exp array': payload({ exp: [nowSeconds() + 60] }),
    'exp null': payload({ exp: null }),
    'exp infinite': raw(json => json.replace(/"exp":\d+/, '"exp":1e400')),
    'exp negative': { ...payload({ exp: -1 }), code: 'token_expired' },
    'exp before every date': payload({ exp: -1e300 }),
    'jti missing': without('jti'),
    'jti empty': payload({ jti: '' }),
    'jti array': payload({ jti: [claims['jti']] }),
    'jti number': payload({ jti: 1 }),
    'jti object': payload({ jti: {} }),
    'jti too long': payload({ jti: 'x'.repeat(256) }),
    'sid number': payload({ sid: 1 }),
    'sid empty': payload({ sid: '' }),
    'sid array': payload({ sid: [claims['sid']] }),
    'sub number': payload({ sub: 1 }),
    'sub empty': payload({ sub: '' }),
    'iat in the future': payload({ iat: nowSeconds() + 60 }),
    'iat text': payload({ iat: 'now' }),
    'iat null': payload({ iat: null }),
    'nbf in the future': payload({ nbf: nowSeconds() + 60 }),
    'nbf text': payload({ nbf: 'now' }),
    'nbf after every date': payload({ nbf: 1e300 }),
    'iss number': payload({ iss: 1 }),
    'aud number': payload({ aud: 1 }),
    'aud numbers': payload({ aud: [1, 2] }),
    'payload array': { header, payload: [claims] },
    'payload null': { header, payload: null },
    'payload text': { header, payload: '"text"' },
    'payload number': { header, payload: '1' },
    'payload no JSON': { header, payload: 'no JSON' },
    'payload empty': { header, payload: {} },
    'crit unknown': headed({ crit: ['b64'], b64: true }),
    'crit empty': headed({ crit: [] }),
    'crit text': headed({ crit: 'exp' }),
    'header no JSON': { header: 'no JSON', payload: claims },
    'header array': { header: [header], payload: claims },
    'alg none': headed({ alg: 'none' }),
    'alg unknown': headed({ alg: 'HS1' }),
    'alg missing': headed({ alg: undefined }),
    'alg number': headed({ alg: 256 })
  }
}

/** Returns what a client can send instead of `Bearer` and a token, and the code that it gets. */
export function wrongHeaders (token: string): Record<string, { value: string | undefined, code: string }> {
  const [header, payload, signature] = token.split('.')
  const invalid = (value: string) => ({ value, code: 'invalid_token' })
  const missing = (value: string | undefined) => ({ value, code: 'authorization_required' })
  return {
    'no header': missing(undefined),
    'another scheme': missing(`Basic ${token}`),
    'the token alone': missing(token),
    'only the scheme': missing('Bearer'),
    'the scheme and a space': missing('Bearer '),
    'a third part': invalid(`Bearer ${token} more`),
    'a tab': invalid(`Bearer\t${token}`),
    'a space and a tab': invalid(`Bearer \t${token}`),
    'a comma after the token': invalid(`Bearer ${token},`),
    'two credentials in one header': invalid(`Bearer ${token}, Bearer ${token}`),
    'a token in quotes': invalid(`Bearer "${token}"`),
    'no token': invalid('Bearer token'),
    'two parts': invalid(`Bearer ${header}.${payload}`),
    'four parts': invalid(`Bearer ${token}.${signature}`),
    'no signature': invalid(`Bearer ${header}.${payload}.`),
    'another signature': invalid(`Bearer ${header}.${payload}.${'A'.repeat(86)}`),
    'a signature that is no base64': invalid(`Bearer ${header}.${payload}.$$$$`),
    'another payload': invalid(`Bearer ${header}.${Buffer.from('{"sub":"root"}').toString('base64url')}.${signature}`)
  }
}
