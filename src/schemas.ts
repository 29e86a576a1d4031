import { Type, type Static, type TSchema } from 'typebox'
import { describeError, errorCodes, type ErrorCode } from './errors.ts'
import { AccessTokenClaims } from './tokens/claims.ts'
import { PublicJwk } from './tokens/public-jwk.ts'
import { passwordMaxLength, usernamePattern } from './users/credentials.ts'
import type { User } from './users/user-repository.ts'

/**
 * What travels over the wire, each shape declared once. A schema with an `$id` becomes a named component of the
 * OpenAPI document, and so a named type in the clients that are generated from it.
 */

const strict = { additionalProperties: false } as const

type Component = TSchema & { $id: string }

function component<S extends TSchema> ($id: string, schema: S): S & { $id: string } {
  return Object.assign(schema, { $id })
}

/** Normalisation can shorten a text: what is sent may be longer than the password that it makes. */
const passwordInput = { minLength: 1, maxLength: 4 * passwordMaxLength }

export const Registration = component('Registration', Type.Object({
  username: Type.String({ pattern: usernamePattern, description: '3 to 254 letters (a to z), digits and characters of `._%+@-`. Unique without regard to case.', examples: ['ada@example.com'] }),
  password: Type.String({ ...passwordInput, format: 'password', description: `15 to ${passwordMaxLength} characters of any kind, counted after NFC normalisation. The operator may have lowered the minimum to no less than 8.`, examples: ['correct horse battery staple'] })
}, strict))

export const Credentials = component('Credentials', Type.Object({
  username: Type.String({ minLength: 1, maxLength: 254, examples: ['ada@example.com'] }),
  password: Type.String({ ...passwordInput, format: 'password', examples: ['correct horse battery staple'] })
}, strict))

export const UserAccount = component('UserAccount', Type.Object({
  id: Type.String({ format: 'uuid' }),
  username: Type.String(),
  created_at: Type.String({ format: 'date-time' })
}, strict))

export const AccessToken = component('AccessToken', Type.Object({
  access_token: Type.String({ description: 'A JWT in the profile of RFC 9068, to be sent as `Authorization: Bearer`.' }),
  token_type: Type.Literal('Bearer'),
  expires_in: Type.Integer({ description: 'Its lifetime in seconds.' })
}, strict))

export const TokenInfo = component('TokenInfo', Type.Object({
  sub: AccessTokenClaims.properties.sub,
  sid: AccessTokenClaims.properties.sid,
  scope: AccessTokenClaims.properties.scope,
  iat: Type.Integer({ description: 'Seconds since the epoch.' }),
  exp: Type.Integer({ description: 'Seconds since the epoch.' })
}, strict))

export const LoggedOut = component('LoggedOut', Type.Object({
  message: Type.Literal('Successfully logged out')
}, strict))

export const Health = component('Health', Type.Object({
  status: Type.Literal('ok')
}, strict))

/** RFC 7517, section 5. */
export const JsonWebKeySet = component('JsonWebKeySet', Type.Object({
  keys: Type.Array(PublicJwk)
}, strict))

export const ErrorBody = component('Error', Type.Object({
  error: Type.Enum(errorCodes, { description: 'What went wrong, for programs.' }),
  description: Type.String({ description: 'What went wrong, for people.' }),
  details: Type.Optional(Type.Array(Type.Object({
    path: Type.String({ description: 'A JSON Pointer into the body, the query or the parameters.' }),
    message: Type.String()
  }, strict), { description: 'What is wrong with the request, for `invalid_request`.' }))
}, strict))

/** For a request that has no body. An empty object passes too, since some clients always send one. */
export const NoBody = Type.Unsafe<null | Record<string, never>>({ type: ['object', 'null'], additionalProperties: false })

/** All named components. */
export const components: Component[] = [
  Registration, Credentials, UserAccount, AccessToken, TokenInfo, LoggedOut, Health, JsonWebKeySet, ErrorBody
]

/**
 * Refers to a named component. Responses must: given inline, a component that another context refers to cannot be
 * resolved by fast-json-stringify-compiler 5.2.
 */
export function ref<S extends Component> (schema: S) {
  return Type.Unsafe<Static<S>>(Type.Ref(`${schema.$id}#`))
}

/** A successful response of a route: what it carries, what it means, and its headers beside the usual ones. */
export function answer<S extends Component> (schema: S, description: string, headers?: Record<string, TSchema>) {
  return Type.Unsafe<Static<S>>({ ...ref(schema), description, ...(headers && { headers }) })
}

/**
 * The responses of a route that carry one of these errors, for its schema: one for each status, which says which codes
 * it can have.
 */
export function failures (...codes: ErrorCode[]): Record<`${number}`, unknown> {
  const responses: Record<`${number}`, { description: string }> = {}
  for (const code of [...codes, 'internal_error' as const]) {
    const { statusCode, description } = describeError(code)
    const sentence = `\`${code}\`: ${description}`
    const response = responses[`${statusCode}`]
    if (response === undefined) responses[`${statusCode}`] = failure(statusCode, sentence)
    else response.description += `\n\n${sentence}`
  }
  return responses
}

function failure (statusCode: number, description: string) {
  return { description, headers: failureHeaders[statusCode], content: { 'application/json': { schema: ref(ErrorBody) } } }
}

const failureHeaders: Record<number, Record<string, TSchema>> = {
  401: { 'WWW-Authenticate': Type.String({ description: 'RFC 6750, section 3.' }) },
  503: { 'Retry-After': Type.Integer({ description: 'Seconds after which to try again.' }) }
}

/** A user as the API shows one. */
export function toUserAccount ({ id, username, createdAt }: User): Static<typeof UserAccount> {
  return { id, username, created_at: createdAt.toISOString() }
}

/** What a route behind `app.authenticate` can answer instead of its own answer. */
export const tokenFailures = ['authorization_required', 'invalid_token', 'token_expired', 'token_revoked', 'revocation_unavailable'] as const satisfies ErrorCode[]
