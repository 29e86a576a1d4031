import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  PageQuery, SecurityEventPage, answer, failures, toSecurityEventPage, tokenFailures
} from '../../src/schemas/schemas.ts'

const securityEvents: FastifyPluginAsyncTypebox = async app => {
  app.get('/me/security-events', {
    onRequest: app.authenticate,
    schema: {
      operationId: 'listSecurityEvents',
      summary: 'The security events of the account, newest first',
      description:
        'Logins, wrong passwords, logouts and what administrators did. Show them to the user, who knows which were theirs.',
      tags: ['me'],
      security: [{ bearer: [] }],
      querystring: PageQuery,
      response: {
        200: answer(SecurityEventPage, 'A page of events.'),
        ...failures('invalid_request', ...tokenFailures, 'service_unavailable')
      }
    }
  }, async ({ user, query }) => toSecurityEventPage(await app.securityEvents.list(user.sub, query)))
}

export default securityEvents
