import type { components } from '../openapi.d.ts'

type Schemas = components['schemas']

/** The codes of errors that the service can answer with: docs/errors.md. */
export type ServerErrorCode = {
  [S in keyof Schemas]: Schemas[S] extends { error: infer Code extends string, description: string } ? Code : never
}[keyof Schemas]

/**
 * The codes of errors that the client itself makes.
 *
 * - `signed_out`: no user is signed in, or the user was signed out meanwhile.
 * - `network_error`: there was no answer.
 * - `timeout`: there was no answer within `timeoutMs`.
 * - `aborted`: the signal of the caller was aborted. Its reason is the `cause`.
 * - `storage_failed`: the storage threw. Its error is the `cause`.
 * - `unexpected_answer`: the answer is not of the service, for example the error page of a proxy.
 */
export type ClientErrorCode =
  'signed_out' | 'network_error' | 'timeout' | 'aborted' | 'storage_failed' | 'unexpected_answer'

/** Every code that this version knows. */
export type ErrorCode = ServerErrorCode | ClientErrorCode

/** The facts of an error, beside its code and its message. */
interface ErrorFacts {
  cause?: unknown
  status?: number
  requestId?: string | undefined
  retryAfterSeconds?: number | undefined
  details?: ReadonlyArray<{ path: string, message: string }> | undefined
}

/**
 * Every error that the client rejects with. Recognise it with {@link isSignoutError} or {@link hasCode}, never with
 * `instanceof`: an error of another frame, or of a second copy of the package, has another class.
 *
 * @example
 * try {
 *   await client.signIn({ username, password })
 * } catch (error) {
 *   if (hasCode(error, 'invalid_credentials')) show('The username or the password is wrong.')
 *   else throw error
 * }
 */
export class SignoutError extends Error {
  /** The code of the error. A newer service may answer with a code that this version does not know. */
  readonly code: ErrorCode | (string & {})
  /** The status of the answer; `undefined` if there was none. */
  readonly status: number | undefined
  /** The id of the request in the log of the service. */
  readonly requestId: string | undefined
  /** In how many seconds the request can succeed, if the answer says so. */
  readonly retryAfterSeconds: number | undefined
  /** The mistakes in the request, for `invalid_request`. */
  readonly details: ReadonlyArray<{ path: string, message: string }> | undefined

  constructor (code: string, message: string, facts: ErrorFacts = {}) {
    super(message, 'cause' in facts ? { cause: facts.cause } : undefined)
    this.name = 'SignoutError'
    this.code = code
    this.status = facts.status
    this.requestId = facts.requestId
    this.retryAfterSeconds = facts.retryAfterSeconds
    this.details = facts.details
  }
}

/**
 * Returns true for an error of this package, also of another frame or of a second copy of the package.
 *
 * @example
 * if (isSignoutError(error)) console.error(error.code, error.requestId)
 */
export function isSignoutError (error: unknown): error is SignoutError {
  const { name, code } = Object(error) as { name?: unknown, code?: unknown }
  return name === 'SignoutError' && typeof code === 'string'
}

/**
 * Returns true for an error of this package that has one of these codes. The codes are checked by the compiler.
 *
 * @example
 * if (hasCode(error, 'signed_out', 'insufficient_user_authentication')) askForPassword()
 */
export function hasCode<C extends ErrorCode> (error: unknown, ...codes: C[]): error is SignoutError & { code: C } {
  return isSignoutError(error) && (codes as string[]).includes(error.code)
}

/** Returns the error of the client that aborted a request, or one with the reason of the caller. */
export function toAbortError ({ reason }: AbortSignal): SignoutError {
  return isSignoutError(reason) ? reason : new SignoutError('aborted', 'The call was aborted.', { cause: reason })
}

/**
 * Returns the body of an answer. Rejects with `unexpected_answer` if it is no JSON object: a proxy, or the login page
 * of a network, can answer 200 too.
 */
export async function readBody<T extends object> (response: Response): Promise<T> {
  const body: unknown = await response.json().catch(() => undefined)
  if (Object(body) !== body) throw await toError(response)
  return body as T
}

/** Returns the error that an answer describes. The plugin has the code in `code`, the service in `error`. */
export async function toError (response: Response): Promise<SignoutError> {
  const { status, headers } = response
  const body = Object(await response.json().catch(() => undefined)) as Record<string, unknown>
  const code = [body['error'], body['code']].find(value => typeof value === 'string' && /^[a-z_]+$/.test(value))
  const message = code === undefined ? `The answer has status ${status}.` : body['description'] ?? body['message']
  return new SignoutError(String(code ?? 'unexpected_answer'), String(message), {
    status,
    requestId: headers.get('x-request-id') ?? undefined,
    retryAfterSeconds: retryAfterOf(response),
    details: body['details'] as ErrorFacts['details']
  })
}

/**
 * Returns the seconds that an answer asks to wait. A date counts from the `Date` of the same answer, because the clock
 * of the device may be wrong.
 */
export function retryAfterOf ({ headers }: Response): number | undefined {
  const value = headers.get('retry-after')
  if (value === null) return undefined
  const seconds = /^\d+$/.test(value)
    ? Number(value)
    : (Date.parse(value) - Date.parse(headers.get('date') ?? '')) / 1000
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined
}
