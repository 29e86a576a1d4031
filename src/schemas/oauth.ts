import { Type, type Static } from 'typebox'
import type { TokenPair as IssuedPair } from '../sessions/token-pair.ts'
import { component, countOf, epochSecondsOf, strict, uuidOf } from './component.ts'
import { toTokenPair } from './sessions.ts'

const text = (maxLength: number, description: string) => Type.String({ maxLength, description })
/** As much as a body has room for. */
const maxTokenLength = 65_536

/** The parameters of a client that authenticates in the body (RFC 6749, section 2.3.1, and RFC 7521, section 4.2). */
const clientParameters = {
  client_id: Type.Optional(text(100, 'The client. `signout` for tokens of `POST /login`.')),
  client_secret: Type.Optional(
    text(1000, 'The secret of a registered client. It may be in `Authorization: Basic` instead.')
  ),
  client_assertion_type: Type.Optional(
    text(100, '`urn:ietf:params:oauth:client-assertion-type:jwt-bearer` with `client_assertion`.')
  ),
  client_assertion: Type.Optional(text(maxTokenLength, 'A JWT that a registered client has signed (RFC 7523).'))
}

/** Unknown parameters are ignored (RFC 6749, section 3.2). */
export const GrantInput = component('GrantInput', Type.Object({
  grant_type: Type.String({ maxLength: 100, description: '`refresh_token`.', examples: ['refresh_token'] }),
  refresh_token: Type.Optional(Type.String({
    maxLength: maxTokenLength,
    description: 'The refresh token. It works once.',
    examples: ['<refresh_token of POST /login>']
  })),
  scope: Type.Optional(text(1000, 'Must not exceed the scope of the session. The answer states the scope.')),
  ...clientParameters
}))

const tokenInput = {
  token: Type.String({
    minLength: 1, maxLength: maxTokenLength, description: 'An access token or a refresh token.', examples: ['<token>']
  }),
  token_type_hint: Type.Optional(text(100, 'Ignored: the form of a token tells which it is.')),
  ...clientParameters
}

export const RevocationInput = component('RevocationInput', Type.Object(tokenInput))
export const IntrospectionInput = component('IntrospectionInput', Type.Object(tokenInput))

export const GrantedTokens = component('GrantedTokens', Type.Object({
  access_token: text(8192, 'A JWT in the profile of RFC 9068.'),
  token_type: Type.Literal('Bearer'),
  expires_in: countOf('The lifetime of the access token in seconds.'),
  refresh_token: text(255, 'Works once, for the next pair.'),
  refresh_expires_in: countOf('How long the session lives without a refresh, in seconds.'),
  scope: text(1000, 'The scopes of the access token, with spaces between them.')
}, strict))

export function toGrantedTokens (pair: IssuedPair): Static<typeof GrantedTokens> {
  return { ...toTokenPair(pair), scope: pair.scope }
}

/** RFC 7662, section 2.2. */
export const Introspection = component('Introspection', Type.Object({
  active: Type.Boolean({ description: 'True if the token is accepted now. Otherwise it is the only member.' }),
  token_type: Type.Optional(Type.Literal('Bearer', { description: 'Access tokens alone have it.' })),
  scope: Type.Optional(text(1000, 'The scopes of an access token, with spaces between them.')),
  client_id: Type.Optional(text(100, 'The client that the token belongs to.')),
  iss: Type.Optional(text(255, 'The issuer.')),
  aud: Type.Optional(text(255, 'The recipient of an access token.')),
  sub: Type.Optional(uuidOf('The user.')),
  sid: Type.Optional(uuidOf('The session.')),
  jti: Type.Optional(uuidOf('The id of an access token.')),
  iat: Type.Optional(epochSecondsOf('When the token was issued, in seconds since the epoch.')),
  exp: Type.Optional(epochSecondsOf('When the token expires, in seconds since the epoch.')),
  auth_time: Type.Optional(epochSecondsOf('When the user last proved the password, in seconds since the epoch.'))
}, strict))

/** For the routes below `/oauth/`. */
export const formConsumes = ['application/x-www-form-urlencoded']

const address = (description: string) => Type.String({ format: 'uri', maxLength: 1000, description })
const names = (description: string) => Type.Array(Type.String({ maxLength: 100 }), { maxItems: 100, description })

/** RFC 8414, section 2. */
export const ServerMetadata = component('ServerMetadata', Type.Object({
  issuer: address('`iss` of the tokens.'),
  token_endpoint: address('`POST /oauth/token`.'),
  jwks_uri: address('The public keys.'),
  scopes_supported: names('The scopes that tokens can have.'),
  response_types_supported: names('Empty: there is no authorization endpoint.'),
  grant_types_supported: names('The grants of the token endpoint.'),
  token_endpoint_auth_methods_supported: names('How clients authenticate at the token endpoint.'),
  token_endpoint_auth_signing_alg_values_supported: names('The algorithms of their assertions.'),
  revocation_endpoint: address('`POST /oauth/revoke`.'),
  revocation_endpoint_auth_methods_supported: names('How clients authenticate there.'),
  revocation_endpoint_auth_signing_alg_values_supported: names('The algorithms of their assertions.'),
  introspection_endpoint: address('`POST /oauth/introspect`.'),
  introspection_endpoint_auth_methods_supported: names('How clients authenticate there.'),
  introspection_endpoint_auth_signing_alg_values_supported: names('The algorithms of their assertions.')
}, strict))
