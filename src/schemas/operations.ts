import { Type, type Static } from 'typebox'
import { maxNumericDate } from '../entries/revocation.ts'
import type { AccessTokenClaims } from '../tokens/access-token-claims.ts'
import { scopesPattern, type TokenRequirements } from '../tokens/requirements.ts'
import { PublicJwk } from '../db/public-jwk.ts'
import { component, strict } from './component.ts'

export const Health = component('Health', Type.Object({
  status: Type.Literal('ok'),
  blocklist: Type.Optional(Type.Literal('behind'))
}, strict))

/** RFC 7517, section 5. */
export const JsonWebKeySet = component('JsonWebKeySet', Type.Object({
  keys: Type.Array(PublicJwk, { maxItems: 1000 })
}, strict))

export const VerifyQuery = Type.Object({
  scope: Type.Optional(Type.Array(
    Type.String({
      maxLength: 1000,
      pattern: scopesPattern,
      'x-must': 'must be one scope, or several with a space between two'
    }),
    {
      maxItems: 20,
      description: 'The scopes that the token needs: one, several with a space between two, or the parameter repeated.',
      examples: [['articles:write']]
    }
  )),
  max_age: Type.Optional(Type.Integer({
    format: 'int32',
    minimum: 1,
    maximum: 2_147_483_647,
    description: 'The longest time since the user last proved the password, in seconds (RFC 9470).'
  }))
}, strict)

const maxScopeLength = 4096

/** The headers of a 200. Each is always there. */
export const verifiedHeaders = {
  'X-User-Id': Type.String({ maxLength: 36, description: 'The id of the user: `sub`.' }),
  'X-Session-Id': Type.String({ maxLength: 36, description: 'The id of the session: `sid`.' }),
  'X-Scope': Type.String({
    maxLength: maxScopeLength, description: 'The scopes of the token, with a space between two.'
  }),
  'X-Auth-Time': Type.String({
    maxLength: String(maxNumericDate).length,
    description: 'When the user last proved the password, in seconds since the epoch. Empty if the token does not say.'
  })
}

/** Returns the headers that name the user of a token. The claims were checked: no value has a line break. */
export function toVerifiedHeaders (
  { sub, sid, scope, auth_time: authTime }: AccessTokenClaims
): Record<keyof typeof verifiedHeaders, string> {
  return { 'X-User-Id': sub, 'X-Session-Id': sid, 'X-Scope': scope, 'X-Auth-Time': authTime?.toString() ?? '' }
}

/** Returns the requirements that a query states. */
export function toRequirements (
  { scope = [], max_age: maxAgeSeconds }: Static<typeof VerifyQuery>
): TokenRequirements {
  return { scopes: scope.length === 0 ? scope : scope.join(' ').split(' '), maxAgeSeconds }
}
