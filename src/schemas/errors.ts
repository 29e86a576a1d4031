import { Type, type TSchema } from 'typebox'
import { describeError, errorCodes, maxErrorDetails, type ErrorCode } from '../errors.ts'
import { component, countOf, ref, strict, type Component } from './component.ts'

const tokenRefusals = ['authorization_required', 'invalid_token', 'token_expired', 'token_revoked'] as const

/**
 * The error bodies, by their names, with the codes that each can have. A status of an operation has exactly these
 * codes, so generated clients know which to expect. The order is that of the list of codes.
 */
const codesOfBodies = {
  InvalidRequest: ['invalid_request'],
  TokenRefused: tokenRefusals,
  ActRefused: [...tokenRefusals, 'insufficient_user_authentication'],
  LogoutRefused: [...tokenRefusals, 'refresh_token_reused', 'insufficient_user_authentication'],
  RefreshRefused: [...tokenRefusals, 'refresh_token_reused'],
  InvalidCredentials: ['invalid_credentials'],
  PasswordRefused: ['invalid_credentials', 'account_disabled', 'origin_not_allowed'],
  LoginForbidden: ['account_disabled', 'origin_not_allowed'],
  LogoutForbidden: ['invalid_credentials', 'origin_not_allowed'],
  OriginNotAllowed: ['origin_not_allowed'],
  Forbidden: ['forbidden'],
  RegistrationClosed: ['registration_closed'],
  NotFound: ['not_found'],
  UsernameTaken: ['username_taken'],
  LastAdmin: ['last_admin'],
  KeyNotReady: ['key_not_ready'],
  PayloadTooLarge: ['payload_too_large'],
  UnsupportedMediaType: ['unsupported_media_type'],
  TooManyRequests: ['too_many_requests'],
  InternalError: ['internal_error'],
  SessionsUnavailable: ['revocation_unavailable', 'service_unavailable'],
  ServiceUnavailable: ['service_unavailable'],
  Unavailable: ['revocation_unavailable', 'key_unavailable', 'service_unavailable']
} as const satisfies Record<string, readonly ErrorCode[]>

const Mistakes = Type.Array(Type.Object({
  path: Type.String({ maxLength: 200, description: 'A JSON Pointer into the body, the query or the parameters.' }),
  message: Type.String({ maxLength: 500, description: 'What the value must be.' })
}, strict), { maxItems: maxErrorDetails, description: 'The mistakes in the request.' })

/** The components of the error bodies, by their codes. */
const bodies = new Map(Object.entries(codesOfBodies).map(([name, codes]) => [codes.join(' '), component(
  name,
  Type.Object({
    error: Type.Enum([...codes] as ErrorCode[], {
      description: 'The code of the error, for programs. A client treats a code that it does not know by its status.'
    }),
    description: Type.String({ maxLength: 1000, description: 'A sentence about the error, for people.' }),
    ...name === 'InvalidRequest' && { details: Type.Optional(Mistakes) }
  }, strict)
)]))

/** The components of all error bodies. */
export const errorBodies: Component[] = [...bodies.values()]

function bodyWith (codes: readonly ErrorCode[]): Component {
  const key = [...codes].sort((one, other) => errorCodes.indexOf(one) - errorCodes.indexOf(other)).join(' ')
  const body = bodies.get(key)
  if (body === undefined) throw new Error(`No error body has the codes ${key}: give them a name in codesOfBodies.`)
  return body
}

/** A code, or a code that a route answers with another status than usual. */
type Answered = ErrorCode | { code: ErrorCode, statusCode: number }

/**
 * Returns the error responses of a route, for its schema: one for each status, with the codes that it can have.
 * `internal_error` is always among them. Every route but `/health/live` has `service_unavailable`: the stand-in answers
 * it while the service cannot start.
 */
export function failures (...answered: Answered[]): Record<`${number}`, unknown> {
  const codesByStatus: Record<number, ErrorCode[]> = {}
  for (const each of [...answered, 'internal_error' as const]) {
    const { code, statusCode } = typeof each === 'string' ? { code: each, ...describeError(each) } : each
    const codes = codesByStatus[statusCode] ??= []
    codes.push(code)
  }
  return Object.fromEntries(Object.entries(codesByStatus).map(([statusCode, codes]) =>
    [statusCode, failure(Number(statusCode), codes)]))
}

function failure (statusCode: number, codes: ErrorCode[]) {
  const described = codes.map(code => ({ code, description: describeError(code).description }))
  return {
    description: described.map(({ code, description }) => `\`${code}\`: ${description}`).join('\n\n'),
    headers: headersOf(statusCode, codes),
    content: {
      'application/json': {
        schema: ref(bodyWith(codes)),
        examples: Object.fromEntries(described.map(({ code, description }) =>
          [code, { value: { error: code, description } }]))
      }
    }
  }
}

/** Returns the headers of an error. Most follow from the status, and the others from the code. */
function headersOf (statusCode: number, codes: ErrorCode[]): Record<string, TSchema> | undefined {
  if (codes.includes('forbidden')) return { 'WWW-Authenticate': challengeOf('It names the scope that is needed.') }
  if (codes.includes('key_not_ready')) return { 'Retry-After': countOf('Seconds until the key may sign.') }
  return failureHeaders[statusCode]
}

function challengeOf (description: string): TSchema {
  return Type.String({ maxLength: 1000, description: `RFC 6750, section 3. ${description}` })
}

/** The headers that follow from the status of an error. */
export const failureHeaders: Record<number, Record<string, TSchema>> = {
  401: { 'WWW-Authenticate': challengeOf('It names the error.') },
  429: {
    'Retry-After': countOf('Seconds until the window of the limit ends.'),
    'RateLimit-Policy': Type.String({
      maxLength: 200,
      description:
        'The limit that is used up: its name, attempts (`q`) and seconds (`w`), by draft-ietf-httpapi-ratelimit-headers.',
      examples: ['"password-by-ip";q=100;w=900']
    }),
    RateLimit: Type.String({
      maxLength: 200,
      description: 'The attempts that are left (`r`), and the seconds until the window ends (`t`).',
      examples: ['"password-by-ip";r=0;t=123']
    })
  },
  503: { 'Retry-After': countOf('Seconds after which to try again.') }
}

/** The errors of a route with a JSON body. */
export const bodyFailures = [
  'invalid_request',
  'payload_too_large',
  'unsupported_media_type'
] as const satisfies ErrorCode[]

/** The errors of a route behind `app.authenticate`. */
export const tokenFailures = [
  ...tokenRefusals, 'revocation_unavailable', 'key_unavailable'
] as const satisfies ErrorCode[]

/** The errors of a route behind `app.authenticateAdmin`. */
export const adminFailures = [...tokenFailures, 'forbidden', 'service_unavailable'] as const satisfies ErrorCode[]

/** The errors of an act of an administrator, which needs a recent login. */
export const actFailures = [
  ...adminFailures,
  'insufficient_user_authentication'
] as const satisfies ErrorCode[]

/** A wrong password beside a valid token. It is not a 401, because the token stays valid. */
export const wrongPassword = { code: 'invalid_credentials', statusCode: 403 } as const satisfies Answered
