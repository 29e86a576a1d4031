import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { describeServer, metadataPaths } from '../../src/oauth/metadata.ts'
import { ServerMetadata, answer, failures } from '../../src/schemas/schemas.ts'
import { roles } from '../../src/db/tables.ts'

export interface AuthorizationServerOptions {
  /** The public address of the service. */
  issuer: string
}

const headers = { 'Cache-Control': Type.String({ maxLength: 100, description: 'For how long it may be cached.' }) }

const authorizationServer: FastifyPluginAsyncTypebox<AuthorizationServerOptions> = async (app, { issuer }) => {
  const metadata = describeServer(issuer, roles)
  for (const [index, path] of metadataPaths(issuer).entries()) {
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
    }, async (_request, reply) => reply.header('cache-control', 'public, max-age=300').send(metadata))
  }
}

export default authorizationServer
