import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ServerMetadata, answer, failures } from '../../src/schemas/schemas.ts'

const headers = { 'Cache-Control': Type.String({ maxLength: 100, description: 'For how long it may be cached.' }) }

const authorizationServer: FastifyPluginAsyncTypebox = async app => {
  const { description, paths } = app.serverMetadata
  for (const [index, path] of paths.entries()) {
    app.get(path.replaceAll(':', '::'), {
      schema: {
        hide: index > 0,
        operationId: 'getServerMetadata',
        summary: 'The endpoints of OAuth, and what they support',
        description: 'RFC 8414. A client library reads it, and needs no other setting than the issuer.',
        tags: ['operations'],
        security: [],
        response: {
          200: answer(ServerMetadata, 'The metadata of the authorization server.', headers),
          ...failures('service_unavailable')
        }
      }
    }, async (_request, reply) => reply.header('cache-control', 'public, max-age=300').send(description))
  }
}

export default authorizationServer
