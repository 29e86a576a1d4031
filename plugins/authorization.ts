import { SignoutError } from '../src/errors.ts'

/** What the header is read from: a request of Fastify. */
export interface CredentialRequest {
  headers: { authorization?: string | undefined }
  raw: { rawHeaders: readonly string[] }
}

/** The scheme, one space or more (RFC 9110, section 11.4), and a token (RFC 6750, section 2.1). */
const credentials = /^Bearer +([\w~+/.-]+=*)$/i
/** The scheme, and something else than a token. */
const malformedCredentials = /^Bearer[ \t]+[^ \t]/i

/**
 * Returns the bearer token of a request.
 *
 * Throws `authorization_required` if the request has no bearer token, and `invalid_token` if its credential is malformed.
 */
export function bearerToken (request: CredentialRequest): string {
  if (isRepeated(request)) throw new SignoutError('invalid_token')
  const { authorization = '' } = request.headers
  const token = credentials.exec(authorization)?.[1]
  if (token !== undefined) return token
  throw new SignoutError(malformedCredentials.test(authorization) ? 'invalid_token' : 'authorization_required')
}

/** Returns the value of `Authorization`; undefined if the request has no such header, or more than one. */
export function soleAuthorization (request: CredentialRequest): string | undefined {
  return isRepeated(request) ? undefined : request.headers.authorization
}

const headerName = 'authorization'

/** Node drops the second `Authorization` header. A proxy in front may have looked at that one. */
function isRepeated ({ raw: { rawHeaders } }: CredentialRequest): boolean {
  let count = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string
    if (name.length === headerName.length && name.toLowerCase() === headerName) count++
  }
  return count > 1
}
