import { Type, type TSchema } from 'typebox'
import { describeError, errorCodes, type ErrorCode } from '../errors.ts'
import { component, ref, strict } from './component.ts'

export const ErrorBody = component('Error', Type.Object({
  error: Type.Enum(errorCodes, { description: 'The code of the error, for programs.' }),
  description: Type.String({ description: 'A sentence about the error, for people.' }),
  details: Type.Optional(Type.Array(Type.Object({
    path: Type.String({ description: 'A JSON Pointer into the body, the query or the parameters.' }),
    message: Type.String()
  }, strict), { description: 'The mistakes in the request, for `invalid_request`.' }))
}, strict))

/** A code, or a code that a route answers with another status than usual. */
type Answered = ErrorCode | { code: ErrorCode, statusCode: number }

/**
 * Returns the error responses of a route, for its schema: one for each status, with the codes that it can have.
 * `internal_error` is always among them.
 */
export function failures (...answered: Answered[]): Record<`${number}`, unknown> {
  const responses: Record<`${number}`, ReturnType<typeof failure>> = {}
  for (const each of [...answered, 'internal_error' as const]) {
    const code = typeof each === 'string' ? each : each.code
    const { description } = describeError(code)
    const statusCode = typeof each === 'string' ? describeError(code).statusCode : each.statusCode
    const sentence = `\`${code}\`: ${description}`
    const response = responses[`${statusCode}`]
    const example = { [code]: { value: { error: code, description } } }
    if (response === undefined) responses[`${statusCode}`] = failure(statusCode, sentence, example)
    else {
      response.description += `\n\n${sentence}`
      Object.assign(response.content['application/json'].examples, example)
    }
  }
  return responses
}

function failure (statusCode: number, description: string, examples: Record<string, { value: object }>) {
  return {
    description,
    headers: failureHeaders[statusCode],
    content: { 'application/json': { schema: ref(ErrorBody), examples } }
  }
}

const failureHeaders: Record<number, Record<string, TSchema>> = {
  401: { 'WWW-Authenticate': Type.String({ description: 'RFC 6750, section 3.' }) },
  403: {
    'WWW-Authenticate': Type.Optional(
      Type.String({ description: 'RFC 6750, section 3, if the scope of the token does not suffice.' })
    )
  },
  429: {
    'Retry-After': Type.Integer({ description: 'Seconds until the window of the limit ends.' }),
    'RateLimit-Policy': Type.String({
      description:
        'The limit that is used up: its name, attempts (`q`) and seconds (`w`), by draft-ietf-httpapi-ratelimit-headers.',
      examples: ['"password-by-ip";q=100;w=900']
    }),
    RateLimit: Type.String({
      description: 'The attempts that are left (`r`), and the seconds until the window ends (`t`).',
      examples: ['"password-by-ip";r=0;t=123']
    })
  },
  503: { 'Retry-After': Type.Integer({ description: 'Seconds after which to try again.' }) }
}

/** The errors of a route with a JSON body. */
export const bodyFailures = [
  'invalid_request',
  'payload_too_large',
  'unsupported_media_type'
] as const satisfies ErrorCode[]

/** The errors of a route behind `app.authenticate`. */
export const tokenFailures = [
  'authorization_required',
  'invalid_token',
  'token_expired',
  'token_revoked',
  'revocation_unavailable',
  'key_unavailable'
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
