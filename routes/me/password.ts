import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  PasswordChange, bodyFailures, failures, noContent, ref, tokenFailures, wrongPassword
} from '../../src/schemas/schemas.ts'

const password: FastifyPluginAsyncTypebox = async app => {
  app.put('/me/password', {
    onRequest: app.authenticateToEnd,
    schema: {
      operationId: 'changePassword',
      summary: 'Set a new password, and end all other sessions',
      tags: ['me'],
      security: [{ bearer: [] }],
      body: ref(PasswordChange),
      response: {
        204: noContent('The password is set, and the other sessions have ended.'),
        ...failures(...bodyFailures, ...tokenFailures, wrongPassword, 'too_many_requests', 'service_unavailable')
      }
    }
  }, async ({ user: { sub: userId, sid: sessionId }, body, requester }, reply) => {
    await app.accounts.changePassword({ userId, sessionId }, body.current_password, body.new_password, requester)
    return reply.code(204).send(null)
  })
}

export default password
