import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { TokenInfo, answer, failures, tokenFailures } from '../../src/schemas/schemas.ts'

const token: FastifyPluginAsyncTypebox = async app => {
  app.get('/token', {
    onRequest: app.authenticate,
    schema: {
      operationId: 'getToken',
      summary: 'The claims of the token',
      description: 'Reads the blocklist, and no database.',
      tags: ['me'],
      security: [{ bearer: [] }],
      response: { 200: answer(TokenInfo, 'Claims of the token.'), ...failures(...tokenFailures, 'service_unavailable') }
    }
  }, async ({ user: { sub, sid, scope, iat, exp, auth_time: authTime } }) =>
    ({ sub, sid, scope, iat, exp, auth_time: authTime }))
}

export default token
