import { Type, type Static } from 'typebox'

/** The name that RFC 8037 gives to Ed25519. Verifiers in every language know it. */
export const signingAlgorithm = 'EdDSA'

/** The public half of a signing key (RFC 7517, section 4; RFC 8037, section 2). */
export const PublicJwk = Type.Object({
  kid: Type.String(),
  kty: Type.Literal('OKP'),
  crv: Type.Literal('Ed25519'),
  x: Type.String(),
  alg: Type.Literal(signingAlgorithm),
  use: Type.Literal('sig')
}, { additionalProperties: false })
export type PublicJwk = Static<typeof PublicJwk>
