import { Type, type TSchema } from 'typebox'
import { describeError, errorCodes, type ErrorCode } from '../errors.ts'
import { component, ref, strict } from './component.ts'

export const ErrorBody = component('Error', Type.Object({
  error: Type.Enum(errorCodes, { description: 'What went wrong, for programs.' }),
  description: Type.String({ description: 'What went wrong, for people.' }),
  details: Type.Optional(Type.Array(Type.Object({
    path: Type.String({ description: 'A JSON Pointer into the body, the query or the parameters.' }),
    message: Type.String()
  }, strict), { description: 'What is wrong with the request, for `invalid_request`.' }))
}, strict))

/** A code that a route answers with another status than its own. */
type Answered = ErrorCode | { code: ErrorCode, statusCode: number }

/**
 * The responses of a route that carry one of these errors, for its schema: one for each status, which says which codes
 * it can have.
 */
export function failures (...answered: Answered[]): Record<`${number}`, unknown> {
  const responses: Record<`${number}`, { description: string }> = {}
  for (const each of [...answered, 'internal_error' as const]) {
    const code = typeof each === 'string' ? each : each.code
    const { description } = describeError(code)
    const statusCode = typeof each === 'string' ? describeError(code).statusCode : each.statusCode
    const sentence = `\`${code}\`: ${description}`
    const response = responses[`${statusCode}`]
    if (response === undefined) responses[`${statusCode}`] = failure(statusCode, sentence)
    else response.description += `\n\n${sentence}`
  }
  return responses
}

function failure (statusCode: number, description: string) {
  return {
    description,
    headers: failureHeaders[statusCode],
    content: { 'application/json': { schema: ref(ErrorBody) } }
  }
}

const failureHeaders: Record<number, Record<string, TSchema>> = {
  401: { 'WWW-Authenticate': Type.String({ description: 'RFC 6750, section 3.' }) },
  403: {
    'WWW-Authenticate': Type.Optional(
      Type.String({ description: 'RFC 6750, section 3, when it is the scope of the token that does not suffice.' })
    )
  },
  429: {
    'Retry-After': Type.Integer({ description: 'Seconds after which the limit has passed.' }),
    'RateLimit-Policy': Type.String({
      description:
        'The limit that is used up: its name, attempts (`q`) and seconds (`w`), by draft-ietf-httpapi-ratelimit-headers.',
      examples: ['"password-by-ip";q=100;w=900']
    }),
    RateLimit: Type.String({
      description: 'What is left of it (`r`), and after how many seconds it passes (`t`).',
      examples: ['"password-by-ip";r=0;t=123']
    })
  },
  503: { 'Retry-After': Type.Integer({ description: 'Seconds after which to try again.' }) }
}

/** What a route with a JSON body can answer instead of its own answer. */
export const bodyFailures = [
  'invalid_request',
  'payload_too_large',
  'unsupported_media_type'
] as const satisfies ErrorCode[]

/** What a route behind `app.authenticate` can answer instead of its own answer. */
export const tokenFailures = [
  'authorization_required',
  'invalid_token',
  'token_expired',
  'token_revoked',
  'revocation_unavailable'
] as const satisfies ErrorCode[]

/** What a route behind `app.authenticateAdmin` can answer instead of its own answer. */
export const adminFailures = [...tokenFailures, 'forbidden', 'service_unavailable'] as const satisfies ErrorCode[]

/** A wrong password where a token was accepted: the token is well, so it is no 401. */
export const wrongPassword = { code: 'invalid_credentials', statusCode: 403 } as const satisfies Answered
