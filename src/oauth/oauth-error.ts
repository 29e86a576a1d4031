import { SignoutError, type ErrorCode, type SignoutErrorOptions } from '../errors.ts'

/**
 * The codes of the errors below `/oauth/`: those of RFC 6749, section 5.2. Section 4.1.2.1 has the last two, which say
 * that the server is at fault.
 */
const oauthErrors = {
  invalid_request: { statusCode: 400, description: 'The request is malformed.' },
  invalid_client: { statusCode: 401, description: 'There is no such client, or its credentials are wrong.' },
  invalid_grant: { statusCode: 400, description: 'The refresh token is invalid.' },
  unauthorized_client: { statusCode: 400, description: 'This client may not do this.' },
  unsupported_grant_type: { statusCode: 400, description: 'grant_type must be refresh_token.' },
  invalid_scope: { statusCode: 400, description: 'The scope exceeds that of the session.' },
  server_error: { statusCode: 500, description: 'The server failed. Its log has the cause.' },
  temporarily_unavailable: { statusCode: 503, description: 'The service is unavailable. Try again.' }
} as const satisfies Record<string, { statusCode: number, description: string }>

/** A code that an error body below `/oauth/` can carry in its `error` member. */
export type OAuthErrorCode = keyof typeof oauthErrors

/** All codes, in the order of the documentation. */
export const oauthErrorCodes = Object.keys(oauthErrors) as OAuthErrorCode[]

/** Returns the status and the description of a code, for the documentation. */
export function describeOAuthError (code: OAuthErrorCode): { statusCode: number, description: string } {
  return oauthErrors[code]
}

/** The code of signout that is nearest to a code of OAuth with this status. */
const nearest: Record<number, ErrorCode> = { 400: 'invalid_request', 401: 'invalid_credentials' }

/**
 * An error that OAuth has a code for. Below `/oauth/`, its code is the `error` of the answer.
 *
 * @example
 * throw new OAuthError('invalid_grant', { cause })
 */
export class OAuthError extends SignoutError {
  readonly oauthCode: OAuthErrorCode

  constructor (oauthCode: OAuthErrorCode, options: Pick<SignoutErrorOptions, 'cause' | 'description'> = {}) {
    const { statusCode, description } = oauthErrors[oauthCode]
    super(nearest[statusCode] ?? 'internal_error', { description, ...options, statusCode })
    this.oauthCode = oauthCode
  }
}

/** The body of an error below `/oauth/` (RFC 6749, section 5.2). */
export interface OAuthErrorBody {
  error: OAuthErrorCode
  error_description: string
}

/** Returns the body of an answer below `/oauth/`, for any error. Mistakes of parameters are in the description. */
export function toOAuthBody (error: SignoutError): OAuthErrorBody {
  const { details, message } = error
  const mistakes = details?.map(({ path, message }) => `The parameter ${path.slice(1)} ${message}.`)
  return { error: codeOf(error), error_description: mistakes?.join(' ') ?? message }
}

function codeOf (error: SignoutError): OAuthErrorCode {
  if (error instanceof OAuthError) return error.oauthCode
  const { statusCode } = error
  if (statusCode === 503 || statusCode === 429) return 'temporarily_unavailable'
  return statusCode >= 500 ? 'server_error' : 'invalid_request'
}
