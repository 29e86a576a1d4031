import { Type, type TSchema } from 'typebox'
import { describeOAuthError, type OAuthErrorCode } from '../oauth/oauth-error.ts'
import { component, ref, type Component } from './component.ts'
import { failureHeaders } from './errors.ts'

/** The error bodies below `/oauth/`, by their names, with the codes that each can have. */
const codesOfBodies = {
  OAuthRequestRefused: ['invalid_request'],
  OAuthClientRefused: ['invalid_client'],
  OAuthActRefused: ['invalid_request', 'unauthorized_client'],
  OAuthGrantRefused: [
    'invalid_request', 'invalid_grant', 'unauthorized_client', 'unsupported_grant_type', 'invalid_scope'
  ],
  OAuthUnavailable: ['temporarily_unavailable'],
  OAuthServerError: ['server_error']
} as const satisfies Record<string, readonly OAuthErrorCode[]>

/** The components of the error bodies (RFC 6749, section 5.2). */
const bodies = new Map(Object.entries(codesOfBodies).map(([name, codes]) => [name, component(
  name,
  Type.Object({
    error: Type.Enum([...codes] as OAuthErrorCode[], { description: 'The code of the error, for programs.' }),
    error_description: Type.String({ maxLength: 1000, description: 'A sentence about the error, for people.' })
  }, { additionalProperties: false })
)]))

/** The components of all error bodies below `/oauth/`. */
export const oauthErrorBodies: Component[] = [...bodies.values()]

const basicChallenge = Type.String({ maxLength: 100, description: '`Basic` (RFC 7617).' })

/**
 * Returns the error responses of a route below `/oauth/`, for its schema.
 *
 * @param refusal the body of its 400
 */
export function oauthFailures (refusal: 'OAuthActRefused' | 'OAuthGrantRefused'): Record<`${number}`, unknown> {
  return {
    400: failure(refusal),
    401: failure('OAuthClientRefused', { 'WWW-Authenticate': basicChallenge }),
    413: failure('OAuthRequestRefused', undefined, 'The request body is too large.'),
    415: failure('OAuthRequestRefused', undefined, 'The request body must be application/x-www-form-urlencoded.'),
    429: failure('OAuthUnavailable', failureHeaders[429], 'There were too many attempts. Wait before the next one.'),
    500: failure('OAuthServerError'),
    503: failure('OAuthUnavailable', failureHeaders[503])
  }
}

function failure (name: keyof typeof codesOfBodies, headers?: Record<string, TSchema>, sentence?: string) {
  const described = codesOfBodies[name].map(code => ({
    code, description: sentence ?? describeOAuthError(code).description
  }))
  return {
    description: described.map(({ code, description }) => `\`${code}\`: ${description}`).join('\n\n'),
    headers,
    content: {
      'application/json': {
        schema: ref(bodies.get(name) as Component),
        examples: Object.fromEntries(described.map(({ code, description }) =>
          [code, { value: { error: code, error_description: description } }]))
      }
    }
  }
}
