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
  refresh_token_reused: {
    statusCode: 401,
    description: 'The refresh token had been used before, so its session has ended.'
  },
  invalid_credentials: { statusCode: 401, description: 'The username or the password is wrong.' },
  forbidden: { statusCode: 403, description: 'The token does not permit this request.' },
  account_disabled: { statusCode: 403, description: 'The account is disabled.' },
  not_found: { statusCode: 404, description: 'There is nothing at this address.' },
  username_taken: { statusCode: 409, description: 'This username is taken.' },
  last_admin: {
    statusCode: 409,
    description: 'The last administrator can be neither demoted nor disabled nor deleted.'
  },
  payload_too_large: { statusCode: 413, description: 'The request body is too large.' },
  unsupported_media_type: { statusCode: 415, description: 'The request body must be application/json.' },
  too_many_requests: { statusCode: 429, description: 'There were too many attempts. Wait before the next one.' },
  internal_error: { statusCode: 500, description: 'The server failed. The cause is in its log.' },
  revocation_unavailable: {
    statusCode: 503,
    description: 'The blocklist of revoked tokens cannot be asked now. Try again.',
    retryAfterSeconds: 1
  },
  key_unavailable: {
    statusCode: 503,
    description: 'The key of the token cannot be read now. Try again.',
    retryAfterSeconds: 1
  },
  service_unavailable: {
    statusCode: 503,
    description: 'The service cannot answer now. Try again.',
    retryAfterSeconds: 1
  }
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

/** A limit on how often something may be tried: so many attempts within a window, under the name that clients read. */
export interface RateLimit {
  name: string
  attempts: number
  windowSeconds: number
}

export interface SignoutErrorOptions {
  /** What went wrong underneath. It is logged and never answered. */
  cause?: unknown
  /** Replaces the sentence of the code where more can be said. */
  description?: string
  details?: ErrorDetail[]
  /** Replaces the status of the code: a wrong password is a 403 where a token was accepted, since that is well. */
  statusCode?: number
  /** Replaces the seconds of the code after which to try again. */
  retryAfterSeconds?: number
  /** The limit that was used up. It passes after `retryAfterSeconds`. */
  limit?: RateLimit
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
  readonly limit: RateLimit | undefined
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

/** A server that the service needs is down, or unreachable. No setting has to be changed. */
export class OutageError extends StartupError {
  readonly what: 'database' | 'blocklist'

  constructor (what: 'database' | 'blocklist', message: string, options?: ErrorOptions) {
    super(message, options)
    this.what = what
  }
}

/**
 * Two clocks differ by more than the leeway. The message says which, and by how much. It holds nothing that a client
 * must not read.
 */
export class ClockDisputeError extends Error {
  override readonly name = 'ClockDisputeError'
}

/** A part that cannot be used, and what it said: a blocklist that is being made again says how far it has come. */
interface NotReady {
  name: string
  reason: unknown
}

/** What a service answers that is asked whether it is ready, and is not. */
export class NotReadyError extends SignoutError {}

/** Names what is not ready, and since a rebuild takes its time, how far it has come and when to ask again. */
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
 * What is logged of a part that is not ready: the fault itself, which an error that may be answered carries as its
 * cause.
 */
function causeOf (reason: unknown): unknown {
  return reason instanceof SignoutError ? reason.cause ?? reason : reason
}

interface Rebuild { progress: { done: number, total: number }, retryAfterSeconds: number }

function isRebuild (reason: unknown): reason is Rebuild {
  return reason instanceof Error && 'progress' in reason && reason.progress !== undefined
}

/** An address that was to be listened on, and the names of its settings. */
export interface ListenAddress {
  host: string
  port: number
  portSetting: 'PORT' | 'METRICS_PORT'
}

/** What to change when an address cannot be listened on. What has nothing to do with that is returned as it is. */
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
