import { assertionAlgorithms } from '../clients/client-keys.ts'
import { grantTypes } from './grant.ts'

/** The paths of the endpoints, below the issuer. */
export const oauthPaths = {
  token: '/oauth/token',
  revocation: '/oauth/revoke',
  introspection: '/oauth/introspect',
  jwks: '/.well-known/jwks.json',
  metadata: '/.well-known/oauth-authorization-server'
} as const

/** How clients authenticate: registered ones, and the built-in public one. */
const registeredMethods = ['client_secret_basic', 'client_secret_post', 'private_key_jwt'] as const
const allMethods = ['none', ...registeredMethods] as const

/** Returns the public address of an endpoint. */
export function addressOf (issuer: string, path: string): string {
  return issuer.replace(/\/+$/, '') + path
}

/**
 * Returns the paths at which the metadata is served. For an issuer with a path, such as `https://example.com/auth`,
 * clients ask the host for `/.well-known/oauth-authorization-server/auth` (RFC 8414, section 3.1).
 */
export function metadataPaths (issuer: string): string[] {
  const path = new URL(issuer).pathname.replace(/\/+$/, '')
  return [...new Set([oauthPaths.metadata, oauthPaths.metadata + path])]
}

/** The metadata of the service. */
export type ServerDescription = ReturnType<typeof describeServer>

/**
 * Returns the metadata of the service (RFC 8414, section 2).
 *
 * `response_types_supported` is required, also of a service without an authorization endpoint, so it is empty.
 *
 * @param scopes the scopes that tokens can have
 */
export function describeServer (issuer: string, scopes: readonly string[]) {
  const algorithms = [...assertionAlgorithms]
  return {
    issuer,
    token_endpoint: addressOf(issuer, oauthPaths.token),
    jwks_uri: addressOf(issuer, oauthPaths.jwks),
    scopes_supported: [...scopes],
    response_types_supported: [],
    grant_types_supported: [...grantTypes],
    token_endpoint_auth_methods_supported: [...allMethods],
    token_endpoint_auth_signing_alg_values_supported: algorithms,
    revocation_endpoint: addressOf(issuer, oauthPaths.revocation),
    revocation_endpoint_auth_methods_supported: [...allMethods],
    revocation_endpoint_auth_signing_alg_values_supported: algorithms,
    introspection_endpoint: addressOf(issuer, oauthPaths.introspection),
    introspection_endpoint_auth_methods_supported: [...registeredMethods],
    introspection_endpoint_auth_signing_alg_values_supported: algorithms
  }
}
