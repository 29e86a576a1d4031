import { Type, type Static } from 'typebox'

/**
 * The algorithms that keys are made for: EdDSA with Ed25519 (RFC 8037), ES256 and RS256 (RFC 7518, section 3.1).
 * Verifiers in every language know EdDSA by this name.
 */
export const signingAlgorithms = ['EdDSA', 'ES256', 'RS256'] as const
export type SigningAlgorithm = typeof signingAlgorithms[number]

/** The public half of a signing key (RFC 7517, section 4). `crv`, `x`, `y`, `n` and `e` depend on `kty`. */
export const PublicJwk = Type.Object({
  kid: Type.String({ maxLength: 100 }),
  kty: Type.Enum(['OKP', 'EC', 'RSA']),
  crv: Type.Optional(Type.Enum(['Ed25519', 'P-256'])),
  x: Type.Optional(Type.String({ maxLength: 1000 })),
  y: Type.Optional(Type.String({ maxLength: 1000 })),
  n: Type.Optional(Type.String({ maxLength: 1000 })),
  e: Type.Optional(Type.String({ maxLength: 1000 })),
  alg: Type.Enum([...signingAlgorithms]),
  use: Type.Literal('sig')
}, { additionalProperties: false })
export type PublicJwk = Static<typeof PublicJwk>
