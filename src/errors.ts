/**
 * Every error that signout answers with: its code, its status and its description, declared once.
 *
 * The codes are API: clients branch on them, so a code is never renamed. The descriptions use only the characters that
 * RFC 6750, section 3, allows in `error_description`. Some of them are sent in a `WWW-Authenticate` header.
 */
const errors = {
  invalid_request: { statusCode: 400, description: 'The request is malformed.' },
  authorization_required: { statusCode: 401, description: 'Request does not contain an access token.' },
  invalid_token: { statusCode: 401, description: 'The token is invalid.' },
  token_expired: { statusCode: 401, description: 'The token has expired.' },
  token_revoked: { statusCode: 401, description: 'The token has been revoked.' },
  refresh_token_reused: {
    statusCode: 401,
    description: 'The refresh token was used before, so its session has ended.'
  },
  insufficient_user_authentication: {
    statusCode: 401,
    description: 'The password was proved too long ago. Ask for it, and call POST /reauthenticate.'
  },
  invalid_credentials: { statusCode: 401, description: 'The username or the password is wrong.' },
  forbidden: { statusCode: 403, description: 'The token does not permit this request.' },
  registration_closed: { statusCode: 403, description: 'Registration is closed. Ask the operator for an account.' },
  account_disabled: { statusCode: 403, description: 'The account is disabled.' },
  origin_not_allowed: {
    statusCode: 403,
    description: 'A page of this origin may not use the cookie. The operator can add the origin to CORS_ORIGINS.'
  },
  not_found: { statusCode: 404, description: 'There is nothing at this address.' },
  method_not_allowed: { statusCode: 405, description: 'This address has other methods. Allow lists them.' },
  username_taken: { statusCode: 409, description: 'This username is taken.' },
  last_admin: {
    statusCode: 409,
    description: 'The last administrator cannot be demoted, disabled or deleted.'
  },
  key_not_ready: {
    statusCode: 409,
    description: 'The next signing key was published too recently: caches may not have it yet. Try again later.'
  },
  payload_too_large: { statusCode: 413, description: 'The request body is too large.' },
  unsupported_media_type: { statusCode: 415, description: 'The request body must be application/json.' },
  too_many_requests: { statusCode: 429, description: 'There were too many attempts. Wait before the next one.' },
  internal_error: { statusCode: 500, description: 'The server failed. Its log has the cause.' },
  revocation_unavailable: {
    statusCode: 503,
    description: 'The blocklist of revoked tokens is unavailable. Try again.',
    retryAfterSeconds: 1
  },
  key_unavailable: {
    statusCode: 503,
    description: 'The key of the token is unavailable. Try again.',
    retryAfterSeconds: 1
  },
  service_unavailable: {
    statusCode: 503,
    description: 'The service is unavailable. Try again.',
    retryAfterSeconds: 1
  }
} as const satisfies Record<string, { statusCode: number, description: string, retryAfterSeconds?: number }>

/** A code that an error body can carry in its `error` member. */
export type ErrorCode = keyof typeof errors

/** All codes, in the order of the documentation. */
export const errorCodes = Object.keys(errors) as ErrorCode[]

/** The largest number of mistakes that an error lists: more than any body has properties. */
export const maxErrorDetails = 10

/** A mistake in a request. `path` is a JSON Pointer (RFC 6901) into the body, the query or the parameters. */
export interface ErrorDetail {
  path: string
  message: string
}

/** A limit: the number of attempts within a window, and the name that clients read. */
export interface RateLimit {
  name: string
  attempts: number
  windowSeconds: number
}

export interface SignoutErrorOptions {
  /** The underlying error. It is logged, and never sent to the client. */
  cause?: unknown
  /** Replaces the description of the code by a more specific one. */
  description?: string
  details?: ErrorDetail[]
  /** Replaces the status of the code. Beside a valid token, a wrong password is a 403. */
  statusCode?: number
  /** Replaces the time of the code after which to try again, in seconds. */
  retryAfterSeconds?: number
  /** The limit that was used up. It passes after `retryAfterSeconds`. */
  limit?: RateLimit
  /** The longest time since the password was proved, in seconds (`max_age` of RFC 9470). */
  maxAgeSeconds?: number
  /** The scopes that the request needs, with a space between two, for `forbidden` (RFC 6750, section 3). */
  requiredScope?: string
  /** The methods of the address, for `method_not_allowed` (RFC 9110, section 15.5.6). */
  allowedMethods?: string[]
}

/**
 * An error that may be sent to clients: its message holds no secret. Fastify uses its `statusCode` and `code`, so an
 * app with an error handler of its own answers with them, too.
 *
 * @example
 * app.setErrorHandler((error, request, reply) => {
 *   if (!(error instanceof SignoutError)) return reply.send(error)
 *   return reply.code(error.statusCode).send({ problem: error.code })
 * })
 */
export class SignoutError extends Error {
  override readonly name = 'SignoutError'
  readonly code: ErrorCode
  readonly statusCode: number
  /**
   * The time after which to try again, in seconds (RFC 9110, section 10.2.3). Undefined for errors that do not pass.
   */
  readonly retryAfterSeconds: number | undefined
  readonly limit: RateLimit | undefined
  readonly maxAgeSeconds: number | undefined
  readonly requiredScope: string | undefined
  readonly allowedMethods: string[] | undefined
  readonly details: ErrorDetail[] | undefined

  constructor (code: ErrorCode, options: SignoutErrorOptions = {}) {
    if (!Object.hasOwn(errors, code)) {
      throw new TypeError(`There is no error code ${JSON.stringify(code)}. The codes are ${errorCodes.join(', ')}.`)
    }
    const known: { statusCode: number, description: string, retryAfterSeconds?: number } = errors[code]
    super(options.description ?? known.description, { cause: options.cause })
    this.code = code
    this.statusCode = options.statusCode ?? known.statusCode
    this.retryAfterSeconds = options.retryAfterSeconds ?? known.retryAfterSeconds
    this.limit = options.limit
    this.maxAgeSeconds = options.maxAgeSeconds
    this.requiredScope = options.requiredScope
    this.allowedMethods = options.allowedMethods
    this.details = options.details
  }

  /** The headers that Fastify's own error handler sends: `retry-after`, for an error that passes. */
  get headers (): Record<string, string> | undefined {
    return this.retryAfterSeconds === undefined ? undefined : { 'retry-after': String(this.retryAfterSeconds) }
  }
}

/** Returns the status and the description of a code, for the documentation. */
export function describeError (code: ErrorCode): { statusCode: number, description: string } {
  return errors[code]
}

/** The service cannot start with this configuration. The message is one line that names the variable, and the cure. */
export class StartupError extends Error {
  override readonly name = 'StartupError'
}

/** A server that the service needs is down or unreachable. No setting has to be changed. */
export class OutageError extends StartupError {
  readonly what: 'database' | 'blocklist'

  constructor (what: 'database' | 'blocklist', message: string, options?: ErrorOptions) {
    super(message, options)
    this.what = what
  }
}

/** Two clocks differ by more than the leeway. The message says which, and by how much. It may be sent to clients. */
export class ClockDisputeError extends Error {
  override readonly name = 'ClockDisputeError'
}

/** A part that cannot be used, and its error. The error of a rebuild holds the progress. */
interface NotReady {
  name: string
  reason: unknown
}

/** The error that a readiness check gets while a part is not ready. */
export class NotReadyError extends SignoutError {}

/**
 * Returns the error that names the parts that are not ready. For a rebuild, it also says the progress and when to ask
 * again.
 */
export function notReady (parts: NotReady[]): SignoutError {
  const rebuilds = parts.flatMap(({ reason }) => isRebuild(reason) ? [reason] : [])
  const names = parts.map(({ name, reason }) => {
    if (isRebuild(reason)) {
      return `${name} (rebuilding, ${Math.floor((100 * reason.progress.done) / reason.progress.total)} %)`
    }
    return reason instanceof ClockDisputeError ? `${name} (${reason.message})` : name
  })
  return new NotReadyError('service_unavailable', {
    description: `Not ready: ${names.join(', ')}.`,
    cause: causeOf(parts[0]?.reason),
    ...(rebuilds.length > 0 && {
      retryAfterSeconds: Math.max(...rebuilds.map(({ retryAfterSeconds }) => retryAfterSeconds))
    })
  })
}

/**
 * Returns the error that is logged for a part that is not ready: the cause of a `SignoutError`, or the error itself.
 */
function causeOf (reason: unknown): unknown {
  return reason instanceof SignoutError ? reason.cause ?? reason : reason
}

interface Rebuild { progress: { done: number, total: number }, retryAfterSeconds: number }

function isRebuild (reason: unknown): reason is Rebuild {
  return reason instanceof Error && 'progress' in reason && reason.progress !== undefined
}

/** An address to listen on, and the name of the setting of its port. */
export interface ListenAddress {
  host: string
  port: number
  portSetting: 'PORT' | 'METRICS_PORT'
}

/**
 * Returns a `StartupError` that says what to change if an address cannot be listened on. Returns any other error as it
 * is.
 */
export function explainListenError (error: unknown, { host, port, portSetting }: ListenAddress): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return new StartupError(
        `${portSetting} ${port} on ${host} is in use: stop what listens there, or choose another port.`
      )
    case 'EACCES':
      return new StartupError(
        `${portSetting} ${port} on ${host} may not be opened by this user: choose a port from 1024.`
      )
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND': return new StartupError(`HOST ${host} is not an address of this machine.`)
    default: return error
  }
}
