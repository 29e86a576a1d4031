import {
  constants, createHash, createPublicKey, generateKeyPairSync, randomUUID, sign, type KeyObject, type SignKeyObjectInput
} from 'node:crypto'
import type { SigningAlgorithm } from '../../src/db/public-jwk.ts'
import { forge, hs256 } from './tokens.ts'

type Json = Record<string, unknown>
type Sign = (input: string) => Buffer

const generators: Record<SigningAlgorithm, () => KeyObject> = {
  EdDSA: () => generateKeyPairSync('ed25519').privateKey,
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
}

const strangers = new Map<SigningAlgorithm, KeyObject>()

/** Returns a private key that no app of the tests has. It is always the same one of an algorithm. */
export function strangerOf (algorithm: SigningAlgorithm): KeyObject {
  const key = strangers.get(algorithm) ?? generators[algorithm]()
  strangers.set(algorithm, key)
  return key
}

/** Creates a private key for an algorithm. */
export const makePrivateKey = (algorithm: SigningAlgorithm): KeyObject => generators[algorithm]()

const signWith = (key: KeyObject, hash: string | null, options: Partial<SignKeyObjectInput> = {}): Sign =>
  input => sign(hash, Buffer.from(input), { key, ...options })

const raw = { dsaEncoding: 'ieee-p1363' } as const

/** Returns the signer of an algorithm, as RFC 7518 and RFC 8037 define it. */
export function signerOf (algorithm: SigningAlgorithm, key: KeyObject): Sign {
  if (algorithm === 'EdDSA') return signWith(key, null)
  return algorithm === 'ES256' ? signWith(key, 'sha256', raw) : signWith(key, 'sha256')
}

/** The token that a hostile one is made of: all of it is right. */
export interface GoodToken {
  algorithm: SigningAlgorithm
  privateKey: KeyObject
  header: Json
  claims: Json
}

const hex = (bytes: Buffer) => BigInt(`0x${bytes.toString('hex')}`)
const bytesOf = (number: bigint, length: number) => Buffer.from(number.toString(16).padStart(2 * length, '0'), 'hex')

/** The order of P-256 (SEC 2, section 2.4.2), and of Ed25519 (RFC 8032, section 5.1). */
const p256Order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
const ed25519Order = 2n ** 252n + 27742317777372353535851937790883648493n

/** Returns the second valid signature that each signature of ES256 has: (r, n - s). */
export function twinOf (signature: Buffer): Buffer {
  return Buffer.concat([signature.subarray(0, 32), bytesOf(p256Order - hex(signature.subarray(32)), 32)])
}

/** Returns a token with another signature. */
export function resign (token: string, change: (signature: Buffer) => Buffer): string {
  const [header, payload, signature = ''] = token.split('.')
  return `${header}.${payload}.${change(Buffer.from(signature, 'base64url')).toString('base64url')}`
}

const made = new WeakMap<GoodToken, Record<string, string>>()

/** Returns forged and damaged tokens, to be refused with `invalid_token`. A good token always has the same ones. */
export function hostileTokens (good: GoodToken): Record<string, string> {
  const known = made.get(good)
  if (known !== undefined) return known
  const own = { EdDSA: hostileToEdDsa, ES256: hostileToEs256, RS256: hostileToRs256 }[good.algorithm](good)
  const tokens = { ...confused(good), ...otherAlgorithms(good), ...withKeysOfTheirOwn(good), ...damaged(good), ...own }
  made.set(good, tokens)
  return tokens
}

/** The public key as a secret (RFC 8725, section 2.1), in each form in which it is known. */
function confused ({ privateKey, header, claims }: GoodToken): Record<string, string> {
  const key = createPublicKey(privateKey)
  const pem = String(key.export({ type: 'spki', format: 'pem' }))
  const jwk = key.export({ format: 'jwk' })
  const secrets: Record<string, string | Buffer> = {
    PEM: pem,
    'PEM without its last line break': pem.trim(),
    'SPKI DER': key.export({ type: 'spki', format: 'der' }),
    'JWK text': JSON.stringify(jwk),
    'JWK text as it is published': JSON.stringify({ kid: header['kid'], ...jwk, alg: header['alg'], use: 'sig' }),
    'bytes of the key': Buffer.from(String(jwk.x ?? jwk.n), 'base64url'),
    nothing: ''
  }
  if (key.asymmetricKeyType === 'rsa') {
    secrets['PKCS #1 PEM'] = String(key.export({ type: 'pkcs1', format: 'pem' }))
    secrets['PKCS #1 DER'] = key.export({ type: 'pkcs1', format: 'der' })
  }
  return Object.fromEntries(Object.entries(secrets).flatMap(([name, secret]) => [
    [`HS256 with the public key as ${name}`, forge({ ...header, alg: 'HS256' }, claims, hs256(secret))],
    [`a signature of HS256 with the public key as ${name}`, forge(header, claims, hs256(secret))]
  ]))
}

/** Tokens of other algorithms, by strangers, under the name of the good key. */
function otherAlgorithms ({ algorithm, privateKey, header, claims }: GoodToken): Record<string, string> {
  const right = signerOf(algorithm, privateKey)
  const unsigned = ['none', 'None', 'NONE', 'nOnE', '', null]
  const names = ['EdDSA', 'ES256', 'RS256', 'Ed25519', 'ES384', 'ES256K', 'PS256', 'HS256', algorithm.toLowerCase()]
  return Object.fromEntries([
    ...unsigned.flatMap(alg => [
      [`unsigned, with the alg ${alg}`, forge({ ...header, alg }, claims, () => '')],
      [`signed, with the alg ${alg}`, forge({ ...header, alg }, claims, right)]
    ]),
    ...names.filter(alg => alg !== algorithm).map(alg =>
      [`the right signature, with the alg ${alg}`, forge({ ...header, alg }, claims, right)]),
    ...(['EdDSA', 'ES256', 'RS256'] as const).flatMap(alg => [
      [`a stranger's ${alg}`, forge({ ...header, alg }, claims, signerOf(alg, strangerOf(alg)))],
      [`a stranger's signature of ${alg}`, forge(header, claims, signerOf(alg, strangerOf(alg)))]
    ])
  ])
}

/** Tokens that bring the key that verifies them (RFC 7515, section 4.1), or say where it is. */
function withKeysOfTheirOwn ({ algorithm, header, claims }: GoodToken): Record<string, string> {
  const key = strangerOf(algorithm)
  const jwk = { ...createPublicKey(key).export({ format: 'jwk' }), alg: algorithm, use: 'sig' }
  const der = createPublicKey(key).export({ type: 'spki', format: 'der' })
  const url = 'http://127.0.0.1:9/jwks.json'
  const members: Record<string, Json> = {
    jwk: { jwk },
    'jwk of the same kid': { jwk: { ...jwk, kid: header['kid'] } },
    jku: { jku: url },
    'x5c, a bare key': { x5c: [der.toString('base64')] },
    x5u: { x5u: url },
    'x5t#S256': { 'x5t#S256': createHash('sha256').update(der).digest('base64url') }
  }
  const made = (change: Json) => forge({ ...header, ...change }, claims, signerOf(algorithm, key))
  return Object.fromEntries(Object.entries(members).flatMap(([name, member]) => [
    [`a stranger's ${name}`, made(member)],
    [`a stranger's ${name}, without a kid`, made({ ...member, kid: undefined })]
  ]))
}

/** Tokens whose signature is not quite the right one. */
function damaged ({ algorithm, privateKey, header, claims }: GoodToken): Record<string, string> {
  const token = forge(header, claims, signerOf(algorithm, privateKey))
  const other = forge(header, { ...claims, jti: randomUUID() }, signerOf(algorithm, privateKey))
  const zero = Buffer.alloc(1)
  const flip = (at: number) => (signature: Buffer) => {
    const copy = Buffer.from(signature)
    copy[at < 0 ? copy.length + at : at]! ^= 1
    return copy
  }
  const changes: Record<string, (signature: Buffer) => Buffer> = {
    'without its first byte': signature => signature.subarray(1),
    'without its last byte': signature => signature.subarray(0, -1),
    'without its second half': signature => signature.subarray(0, signature.length / 2),
    'with a zero before it': signature => Buffer.concat([zero, signature]),
    'with a zero after it': signature => Buffer.concat([signature, zero]),
    twice: signature => Buffer.concat([signature, signature]),
    'of zeros': signature => Buffer.alloc(signature.length),
    'of ones': signature => Buffer.alloc(signature.length, 0xff),
    'with another first bit': flip(0),
    'with another last bit': flip(-1),
    'of another token': () => Buffer.from(String(other.split('.')[2]), 'base64url'),
    empty: () => Buffer.alloc(0)
  }
  return Object.fromEntries(
    Object.entries(changes).map(([name, change]) => [`a signature ${name}`, resign(token, change)])
  )
}

/** Ed25519: a signature has no twin, because s must be less than the order (RFC 8032, section 5.1.7). */
function hostileToEdDsa ({ privateKey, header, claims }: GoodToken): Record<string, string> {
  const token = forge(header, claims, signWith(privateKey, null))
  const reversed = (bytes: Buffer) => Buffer.from(bytes).reverse()
  return {
    'an s beyond the order': resign(token, signature => Buffer.concat([
      signature.subarray(0, 32), reversed(bytesOf(hex(reversed(signature.subarray(32))) + ed25519Order, 32))
    ]))
  }
}

function hostileToEs256 ({ privateKey, header, claims }: GoodToken): Record<string, string> {
  const made = (signer: Sign, change: Json = {}) => forge({ ...header, ...change }, claims, signer)
  const token = made(signWith(privateKey, 'sha256', raw))
  const parts = (change: (r: Buffer, s: Buffer) => Buffer[]) =>
    resign(token, signature => Buffer.concat(change(signature.subarray(0, 32), signature.subarray(32))))
  const [zero, order] = [Buffer.alloc(32), bytesOf(p256Order, 32)]
  const [p384, k256] = ['P-384', 'secp256k1'].map(namedCurve => generateKeyPairSync('ec', { namedCurve }).privateKey)
  if (p384 === undefined || k256 === undefined) throw new Error('There is no such curve.')
  return {
    'DER instead of r and s': made(signWith(privateKey, 'sha256', { dsaEncoding: 'der' })),
    'r zero': parts((_, s) => [zero, s]),
    's zero': parts(r => [r, zero]),
    'r the order': parts((_, s) => [order, s]),
    's the order': parts(r => [r, order]),
    'r and s of one': parts(() => [bytesOf(1n, 32), bytesOf(1n, 32)]),
    'r and s exchanged': parts((r, s) => [s, r]),
    'a negative r': parts((r, s) => [bytesOf(p256Order - hex(r), 32), s]),
    'r and s of 33 bytes': parts((r, s) => [Buffer.alloc(1), r, Buffer.alloc(1), s]),
    'r without its leading zero': resign(
      signedUntil(good => good[0] === 0, privateKey, header, claims, raw), signature => signature.subarray(1)),
    'a key of P-384': made(signWith(p384, 'sha256', raw)),
    'a key of P-384, as ES384': made(signWith(p384, 'sha384', raw), { alg: 'ES384' }),
    'a key of secp256k1': made(signWith(k256, 'sha256', raw)),
    'a key of secp256k1, as ES256K': made(signWith(k256, 'sha256', raw), { alg: 'ES256K' }),
    'SHA-512 with the right key': made(signWith(privateKey, 'sha512', raw))
  }
}

function hostileToRs256 ({ privateKey, header, claims }: GoodToken): Record<string, string> {
  const made = (signer: Sign, alg = 'RS256') => forge({ ...header, alg }, claims, signer)
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
  const jwk = createPublicKey(privateKey).export({ format: 'jwk' })
  const modulus = hex(Buffer.from(String(jwk.n), 'base64url'))
  const isSmall = (signature: Buffer) => hex(signature) + modulus < 2n ** 2048n
  return {
    'PS256 with the right key': made(signWith(privateKey, 'sha256', pss), 'PS256'),
    'a signature of PS256': made(signWith(privateKey, 'sha256', pss)),
    'RS384 with the right key': made(signWith(privateKey, 'sha384'), 'RS384'),
    'RS512 with the right key': made(signWith(privateKey, 'sha512'), 'RS512'),
    'a signature of RS384': made(signWith(privateKey, 'sha384')),
    'a signature with SHA-1': made(signWith(privateKey, 'sha1')),
    'a signature without its leading zero': resign(
      signedUntil(signature => signature[0] === 0, privateKey, header, claims), signature => signature.subarray(1)),
    'a signature plus the modulus': resign(
      signedUntil(isSmall, privateKey, header, claims), signature => bytesOf(hex(signature) + modulus, 256)),
    'a signature of one': made(() => bytesOf(1n, 256)),
    'a signature of the modulus less one': made(() => bytesOf(modulus - 1n, 256)),
    'padding for the exponent 1': made(padded),
    'padding for the exponent 1, with such a jwk': forge({ ...header, jwk: { ...jwk, e: 'AQ' } }, claims, padded)
  }
}

/** Signs tokens that differ in their `jti` until a signature is as wanted. */
function signedUntil (
  isWanted: (signature: Buffer) => boolean, key: KeyObject, header: Json, claims: Json,
  options?: Partial<SignKeyObjectInput>
): string {
  for (;;) {
    const token = forge(header, { ...claims, jti: randomUUID() }, signWith(key, 'sha256', options))
    if (isWanted(Buffer.from(String(token.split('.')[2]), 'base64url'))) return token
  }
}

/** Returns what a signature of RS256 is before the private exponent is applied (RFC 8017, section 9.2). */
function padded (input: string): Buffer {
  const digestInfo = Buffer.from('3031300d060960864801650304020105000420', 'hex')
  const end = Buffer.concat([Buffer.from([0]), digestInfo, createHash('sha256').update(input).digest()])
  return Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(254 - end.length, 0xff), end])
}
