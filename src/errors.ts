/**
 * Every error that signout can answer with: its code, its status and its sentence, declared once.
 *
 * The codes are API: clients branch on them, so a code is never renamed. The sentences use only the
 * characters that RFC 6750, section 3, allows in `error_description`, since some of them travel in a
 * `WWW-Authenticate` header.
 */
const errors = {
  invalid_request: { statusCode: 400, description: 'The request is malformed.' },
  authorization_required: { statusCode: 401, description: 'Request does not contain an access token.' },
  invalid_token: { statusCode: 401, description: 'The token is invalid.' },
  token_expired: { statusCode: 401, description: 'The token has expired.' },
  token_revoked: { statusCode: 401, description: 'The token has been revoked.' },
  invalid_credentials: { statusCode: 401, description: 'The username or the password is wrong.' },
  forbidden: { statusCode: 403, description: 'The token does not permit this request.' },
  not_found: { statusCode: 404, description: 'There is nothing at this address.' },
  username_taken: { statusCode: 409, description: 'This username is taken.' },
  payload_too_large: { statusCode: 413, description: 'The request body is too large.' },
  unsupported_media_type: { statusCode: 415, description: 'The request body must be application/json.' },
  internal_error: { statusCode: 500, description: 'The server failed. The cause is in its log.' },
  revocation_unavailable: { statusCode: 503, description: 'The blocklist of revoked tokens cannot be asked now. Try again.', retryAfterSeconds: 1 },
  service_unavailable: { statusCode: 503, description: 'The service cannot answer now. Try again.', retryAfterSeconds: 1 }
} as const satisfies Record<string, { statusCode: number, description: string, retryAfterSeconds?: number }>

/** A code that an error body can carry in its `error` member. */
export type ErrorCode = keyof typeof errors

/** All codes, in the order in which they are documented. */
export const errorCodes = Object.keys(errors) as ErrorCode[]

/** Where a request is wrong, and how: `path` is a JSON Pointer (RFC 6901) into the body, query or parameters. */
export interface ErrorDetail {
  path: string
  message: string
}

export interface SignoutErrorOptions {
  /** What went wrong underneath. It is logged and never answered. */
  cause?: unknown
  /** Replaces the sentence of the code where more can be said. */
  description?: string
  details?: ErrorDetail[]
}

/**
 * An error that may be answered as it stands: its message holds nothing that a client must not read.
 * Fastify honours `statusCode` and `code`, so it means the same in an app with an error handler of its own.
 */
export class SignoutError extends Error {
  override readonly name = 'SignoutError'
  readonly code: ErrorCode
  readonly statusCode: number
  /** Seconds after which to try again (RFC 9110, section 10.2.3), for errors that pass. */
  readonly retryAfterSeconds: number | undefined
  readonly details: ErrorDetail[] | undefined

  constructor (code: ErrorCode, options: SignoutErrorOptions = {}) {
    const known: { statusCode: number, description: string, retryAfterSeconds?: number } = errors[code]
    super(options.description ?? known.description, { cause: options.cause })
    this.code = code
    this.statusCode = known.statusCode
    this.retryAfterSeconds = known.retryAfterSeconds
    this.details = options.details
  }
}

/** The status and the sentence of a code, for documentation. */
export function describeError (code: ErrorCode): { statusCode: number, description: string } {
  return errors[code]
}

/** The service cannot start as it is set up. The message is one line that says which variable to change, and how. */
export class StartupError extends Error {
  override readonly name = 'StartupError'
}
