import { Type, type Static } from 'typebox'

/** Ed25519 under the name that RFC 8037 gives it, which is the one that verifiers in every language know. */
export const signingAlgorithm = 'EdDSA'

/** The public part of a signing key (RFC 7517, section 4; RFC 8037, section 2). */
export const PublicJwk = Type.Object({
  kid: Type.String(),
  kty: Type.Literal('OKP'),
  crv: Type.Literal('Ed25519'),
  x: Type.String(),
  alg: Type.Literal(signingAlgorithm),
  use: Type.Literal('sig')
}, { additionalProperties: false })
export type PublicJwk = Static<typeof PublicJwk>
