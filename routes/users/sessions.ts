import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  IdParams, NoBody, Sessions, actFailures, adminFailures, answer, bodyFailures, failures, noContent, toSessions
} from '../../src/schemas/schemas.ts'

const admin = { tags: ['administration'], security: [{ bearer: [] }] }

const sessions: FastifyPluginAsyncTypebox = async app => {
  app.get('/users/:id/sessions', {
    onRequest: app.authenticateAdmin,
    schema: {
      ...admin,
      operationId: 'listUserSessions',
      summary: 'The live sessions of a user, newest first',
      description: 'Those that have not ended and not expired.',
      params: IdParams,
      response: {
        200: answer(Sessions, 'The sessions.'), ...failures('invalid_request', ...adminFailures, 'not_found')
      }
    }
  }, async ({ user, params }) => toSessions(await app.userAdministration.listSessions(params.id), user.sid))

  app.delete('/users/:id/sessions', {
    onRequest: app.authenticateAdminToEnd,
    schema: {
      ...admin,
      operationId: 'endUserSessions',
      summary: 'End all sessions of a user',
      description: 'The answer comes once every replica refuses their tokens. The user can sign in again.',
      params: IdParams,
      body: NoBody,
      response: {
        204: noContent('They have ended, everywhere.'), ...failures(...bodyFailures, ...actFailures, 'not_found')
      }
    }
  }, async ({ user, params, requester }, reply) => {
    await app.userAdministration.endSessions(params.id, { id: user.sub, sid: user.sid, requester })
    return reply.code(204).send(null)
  })
}

export default sessions
