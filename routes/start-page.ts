import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { Service, failures, ref } from '../src/schemas/schemas.ts'

const startPage: FastifyPluginAsyncTypebox = async app => {
  app.get('/', {
    schema: {
      operationId: 'getService',
      summary: 'See which service this is, and how to try a logout',
      description:
        'A page for a browser, and JSON for a program: HTML only if `Accept` prefers it. 200 also while the service is not ready.',
      tags: ['operations'],
      security: [],
      response: {
        200: {
          description: 'The service.',
          headers: { Vary: Type.String({ maxLength: 100, description: 'Has `Accept`.', examples: ['Accept'] }) },
          content: {
            'application/json': { schema: ref(Service) },
            'text/html': { schema: Type.String({ maxLength: 100_000, description: 'The same as a page.' }) }
          }
        },
        ...failures('service_unavailable')
      }
    }
  }, async ({ headers }, reply) => app.sendStartPage(headers.accept, reply))
}

export default startPage
