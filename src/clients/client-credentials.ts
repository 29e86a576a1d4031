import { SignoutError } from '../errors.ts'
import { readClaimedClient } from './client-assertions.ts'

/** The credentials of a client in a request, before anything is checked. */
export type ClientCredentials =
  /** The client names itself. That is enough for a public client alone. */
  | { method: 'none', clientId: string }
  | { method: 'secret', clientId: string, secret: string }
  | { method: 'assertion', clientId: string, assertion: string }

/** The parameters of a form that concern the client (RFC 6749, section 2.3, and RFC 7521, section 4.2). */
export interface ClientParameters {
  client_id?: string | undefined
  client_secret?: string | undefined
  client_assertion?: string | undefined
  client_assertion_type?: string | undefined
}

/** The `client_assertion_type` of a JWT (RFC 7523, section 2.2). */
const jwtBearer = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** The scheme, and base64 (RFC 7617, section 2). */
const basicForm = /^Basic +([A-Za-z0-9+/]+={0,2})$/i

/**
 * Returns the credentials of the client of a request. Returns undefined if there are none that can be used.
 *
 * Throws `invalid_request` for two methods at once, half an assertion, or two names of the client.
 *
 * @param authorization the value of the header
 */
export function readClientCredentials (
  authorization: string | undefined, form: ClientParameters
): ClientCredentials | undefined {
  const { client_id: id, client_secret: secret, client_assertion: assertion, client_assertion_type: type } = form
  if ([authorization, secret, assertion ?? type].filter(given => given !== undefined).length > 1) {
    throw refusal('The client authenticates in more than one way. Use one.')
  }
  if (authorization !== undefined) return named(readBasic(authorization), id)
  if (assertion !== undefined || type !== undefined) {
    if (assertion === undefined || type === undefined) {
      throw refusal('client_assertion and client_assertion_type go together.')
    }
    const clientId = type === jwtBearer ? readClaimedClient(assertion) : undefined
    return named(clientId === undefined ? undefined : { method: 'assertion', clientId, assertion }, id)
  }
  if (id === undefined) return undefined
  return secret === undefined ? { method: 'none', clientId: id } : { method: 'secret', clientId: id, secret }
}

/** Throws `invalid_request` if a form names another client than the credentials do. */
function named (credentials: ClientCredentials | undefined, id: string | undefined): ClientCredentials | undefined {
  if (credentials !== undefined && id !== undefined && id !== credentials.clientId) {
    throw refusal('client_id names another client than the one that authenticates.')
  }
  return credentials
}

/**
 * Reads `Authorization: Basic`. The id and the secret were form-encoded before they were joined (RFC 6749, section
 * 2.3.1).
 */
function readBasic (authorization: string): ClientCredentials | undefined {
  const encoded = basicForm.exec(authorization)?.[1]
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString()
  const colon = text.indexOf(':')
  if (colon < 0) return undefined
  try {
    const [clientId, secret] = [text.slice(0, colon), text.slice(colon + 1)].map(decodeFormText) as [string, string]
    return { method: 'secret', clientId, secret }
  } catch {
    // A % that is followed by no valid code.
    return undefined
  }
}

/** Decodes a text of application/x-www-form-urlencoded. Throws a URIError if it is malformed. */
export function decodeFormText (text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}

const refusal = (description: string) => new SignoutError('invalid_request', { description })
