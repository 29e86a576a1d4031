import { createHash } from 'node:crypto'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { JsonWebKeySet, answer, failures, noContent } from '../../src/schemas/schemas.ts'

const headers = {
  'Cache-Control': Type.String({ maxLength: 100, description: 'For how long the keys may be cached.' }),
  ETag: Type.String({ maxLength: 100, description: 'Changes with the keys. Send it in `If-None-Match`.' })
}

const jwks: FastifyPluginAsyncTypebox = async app => {
  app.get('/.well-known/jwks.json', {
    schema: {
      operationId: 'getJwks',
      summary: 'The public keys that our tokens are verified with',
      description:
        'A JWK Set (RFC 7517), also with the key that signs next. A service that verifies tokens with these keys alone accepts revoked tokens.',
      tags: ['operations'],
      security: [],
      response: {
        200: answer(JsonWebKeySet, 'The keys.', headers),
        304: noContent('The keys have not changed.', headers),
        ...failures('service_unavailable')
      }
    }
  }, async (request, reply) => {
    const { jwks, jwksMaxAgeSeconds } = app.keyRing
    const etag = `"${createHash('sha256').update(JSON.stringify(jwks)).digest('base64url').slice(0, 22)}"`
    reply.headers({ 'cache-control': `public, max-age=${jwksMaxAgeSeconds}`, etag })
    const known = request.headers['if-none-match']?.split(',').map(tag => tag.trim().replace(/^W\//, '')) ?? []
    if (known.includes(etag) || known.includes('*')) return reply.code(304).send(null)
    return jwks
  })
}

export default jwks
