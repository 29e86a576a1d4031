import { importJWK, type JWK } from 'jose'
import { SignoutError } from '../errors.ts'

/** The algorithms of the assertions of clients. None of them is symmetric: a public key is no secret. */
export const assertionAlgorithms = ['EdDSA', 'ES256', 'PS256', 'RS256'] as const
export type AssertionAlgorithm = typeof assertionAlgorithms[number]

/** A public key of a client (RFC 7517, section 4). */
export type ClientJwk = Pick<JWK, 'kty' | 'kid' | 'alg' | 'crv' | 'x' | 'y' | 'n' | 'e'>

/** The largest number of keys in a JWK Set. Each may have to be tried for each assertion. */
const maxKeys = 5
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']
const publicMembers = ['kty', 'kid', 'alg', 'crv', 'x', 'y', 'n', 'e'] as const
/** The smallest modulus of RSA that RFC 7518, section 3.3, allows, in bits. */
const minModulusBits = 2048

/** Returns the algorithms that a key can be used with. None, if it is of no use here. */
export function algorithmsOf ({ kty, crv, alg }: ClientJwk): AssertionAlgorithm[] {
  const fitting: readonly AssertionAlgorithm[] = kty === 'RSA'
    ? ['RS256', 'PS256']
    : kty === 'EC' && crv === 'P-256' ? ['ES256'] : kty === 'OKP' && crv === 'Ed25519' ? ['EdDSA'] : []
  // RFC 9864 has another name for EdDSA with Ed25519.
  const named = alg === 'Ed25519' ? 'EdDSA' : alg
  return fitting.filter(algorithm => named === undefined || named === algorithm)
}

/**
 * Reads the public keys of a client: a JWK, or a JWK Set of up to five, as JSON.
 *
 * Rejects with `invalid_request` that says what is wrong. A private key is refused: the client alone must hold it.
 *
 * @example
 * await readClientKeys('{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}')
 */
export async function readClientKeys (text: string): Promise<ClientJwk[]> {
  const value = parse(text)
  const set = (value as { keys?: unknown }).keys ?? [value]
  if (!Array.isArray(set) || set.length === 0 || set.length > maxKeys) {
    throw refusal(`A JWK Set must have 1 to ${maxKeys} keys.`)
  }
  return await Promise.all(set.map(readKey))
}

function parse (text: string): object {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw refusal('The file is not JSON. It must hold a JWK or a JWK Set.')
  }
  if (typeof value !== 'object' || value === null) throw refusal('The file must hold a JWK or a JWK Set.')
  return value
}

async function readKey (value: unknown): Promise<ClientJwk> {
  const given = (value ?? {}) as Record<string, unknown>
  if (privateMembers.some(name => name in given)) {
    throw refusal('The file holds a private key. Give the public key alone, and replace the private one.')
  }
  const key = Object.fromEntries(publicMembers.flatMap(name =>
    typeof given[name] === 'string' ? [[name, given[name]]] : [])) as ClientJwk
  const [algorithm] = algorithmsOf(key)
  if (algorithm === undefined) {
    throw refusal(`A key must be of RSA, P-256 or Ed25519, for one of ${assertionAlgorithms.join(', ')}.`)
  }
  const bits = key.kty === 'RSA' ? Buffer.from(key.n ?? '', 'base64url').length * 8 : minModulusBits
  if (bits < minModulusBits) throw refusal(`A key of RSA must have ${minModulusBits} bits or more.`)
  try {
    await importJWK(key, algorithm)
  } catch {
    throw refusal('A key of the file is malformed.')
  }
  return key
}

const refusal = (description: string) => new SignoutError('invalid_request', { description })
