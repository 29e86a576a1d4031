import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { JsonWebKeySet, answer, failures } from '../../src/schemas/schemas.ts'

/** Long enough to take the load off, short enough for a new key to be known soon. */
const maxAgeSeconds = 300

const jwks: FastifyPluginAsyncTypebox = async app => {
  app.get('/.well-known/jwks.json', {
    schema: {
      operationId: 'getJwks',
      summary: 'The public keys that our tokens are verified with',
      description: 'A JWK Set (RFC 7517). Whoever verifies tokens with it alone accepts those that were revoked.',
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
