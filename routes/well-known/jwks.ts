import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { JsonWebKeySet, answer, failures } from '../../src/schemas/schemas.ts'

/** Long enough to save most requests, and short enough that a new key is soon known. */
const maxAgeSeconds = 300

const jwks: FastifyPluginAsyncTypebox = async app => {
  app.get('/.well-known/jwks.json', {
    schema: {
      operationId: 'getJwks',
      summary: 'The public keys that our tokens are verified with',
      description: 'A JWK Set (RFC 7517). A service that verifies tokens with these keys alone accepts revoked tokens.',
      tags: ['operations'],
      security: [],
      response: { 200: answer(JsonWebKeySet, 'The keys.', { 'Cache-Control': Type.String() }), ...failures() }
    }
  }, async (_request, reply) => {
    reply.header('cache-control', `public, max-age=${maxAgeSeconds}`)
    return app.keyRing.jwks
  })
}

export default jwks
