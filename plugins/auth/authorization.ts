import type { FastifyReply, FastifyRequest, RouteGenericInterface } from 'fastify'
import { SignoutError } from '../../src/errors.ts'

/** A request of any server: HTTP/1.1, HTTP/2, with TLS or without. */
export type AnyRequest = FastifyRequest<RouteGenericInterface, any, any>
/** The reply to an {@link AnyRequest}. */
export type AnyReply = FastifyReply<RouteGenericInterface, any, any, any>

/** The part of a Fastify request that holds the header. */
export interface CredentialRequest {
  headers: { authorization?: string | undefined }
  raw: { rawHeaders: readonly string[] }
}

/** The scheme, one space or more (RFC 9110, section 11.4), and a token (RFC 6750, section 2.1). */
const credentials = /^Bearer +([\w~+/.-]+=*)$/i
/** The scheme, and something that is not a token. */
const malformedCredentials = /^Bearer[ \t]+[^ \t]/i

/**
 * Returns the bearer token of a request.
 *
 * Throws `authorization_required` if the request has no bearer token, and `invalid_token` if its credential is
 * malformed.
 */
export function bearerToken (request: CredentialRequest): string {
  if (isRepeated(request, headerName)) throw refusal('invalid_token', 'The request has more than one Authorization.')
  const { authorization = '' } = request.headers
  const token = credentials.exec(authorization)?.[1]
  if (token !== undefined) return token
  if (malformedCredentials.test(authorization)) {
    throw refusal('invalid_token', 'Authorization must be Bearer, one space or more, and a token.')
  }
  const reason = authorization === '' ? 'The request has no Authorization.' : 'Authorization has no bearer token.'
  throw refusal('authorization_required', reason)
}

function refusal (code: 'invalid_token' | 'authorization_required', reason: string): SignoutError {
  return new SignoutError(code, { cause: new CredentialError(reason) })
}

/** The cause of a refusal because of the header. The message does not contain the header. */
export class CredentialError extends Error {
  override readonly name = 'CredentialError'
}

const usualStart = 'Bearer '

/**
 * Returns what follows `Bearer ` in `Authorization`, or undefined if the header is repeated or begins otherwise.
 * The text may not be a token. It only serves to look for a remembered token without a regular expression.
 */
export function plainBearer (request: CredentialRequest): string | undefined {
  const { authorization } = request.headers
  if (authorization?.startsWith(usualStart) !== true || isRepeated(request, headerName)) return undefined
  return authorization.slice(usualStart.length)
}

const headerName = 'authorization'

/**
 * Returns true if a request has a header more than once. Node drops the second `Authorization` or `Host`. A proxy in
 * front may have checked the dropped one.
 *
 * @param header the name in lower case
 */
export function isRepeated ({ raw: { rawHeaders } }: Pick<CredentialRequest, 'raw'>, header: string): boolean {
  let count = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string
    if (name.length === header.length && name.toLowerCase() === header) count++
  }
  return count > 1
}
