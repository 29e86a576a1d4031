import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  IdParams, NoBody, Sessions, SessionsQuery, answer, bodyFailures, failures, noContent, toSessions, tokenFailures
} from '../../src/schemas/schemas.ts'

const sessions: FastifyPluginAsyncTypebox = async app => {
  app.get('/me/sessions', {
    onRequest: app.authenticate,
    schema: {
      operationId: 'listSessions',
      summary: 'The sessions of the user, newest first',
      description:
        'By default those that live. One that is over stays for 30 days, unless the operator has set another time.',
      tags: ['me'],
      security: [{ bearer: [] }],
      querystring: SessionsQuery,
      response: {
        200: answer(Sessions, 'The sessions.'), ...failures('invalid_request', ...tokenFailures, 'service_unavailable')
      }
    }
  }, async ({ user, query }) => toSessions(await app.sessions.list(user.sub, query.state), user.sid))

  app.delete('/me/sessions/:id', {
    onRequest: app.authenticateToEnd,
    schema: {
      operationId: 'endSession',
      summary: 'End one session of the user',
      description: 'Another session than that of the request needs a login of the last ten minutes.',
      tags: ['me'],
      security: [{ bearer: [] }],
      params: IdParams,
      body: NoBody,
      response: {
        204: noContent('It has ended, everywhere.'),
        ...failures(
          ...bodyFailures, ...tokenFailures, 'insufficient_user_authentication', 'not_found', 'service_unavailable'
        )
      }
    }
  }, async ({ user: { sub: userId, sid: sessionId }, params, requester }, reply) => {
    await app.logout.fromList({ userId, sessionId }, params.id, requester)
    return reply.code(204).send(null)
  })
}

export default sessions
