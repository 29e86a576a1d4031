import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { UserAccount, answer, failures, toUserAccount, tokenFailures } from '../../src/schemas.ts'

const me: FastifyPluginAsyncTypebox = async app => {
  app.get('/me', {
    onRequest: app.authenticate,
    schema: {
      operationId: 'getMe',
      summary: 'The user whom the token speaks for',
      tags: ['me'],
      security: [{ bearer: [] }],
      response: { 200: answer(UserAccount, 'The user.'), ...failures(...tokenFailures, 'service_unavailable') }
    }
  }, async request => toUserAccount(await app.users.get(request.user.sub)))
}

export default me
