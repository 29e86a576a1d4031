import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Credentials, ClientKind, answerWithPair, bodyFailures, failures, ref } from '../../src/schemas/schemas.ts'

const login: FastifyPluginAsyncTypebox = async app => {
  app.post('/login', {
    onRequest: app.admitClient,
    schema: {
      operationId: 'login',
      summary: 'Open a session',
      tags: ['auth'],
      security: [],
      description:
        'With `end_other_sessions`, all other sessions of the user end in the same transaction. Use it when a session may be stolen. After 503 `revocation_unavailable` the session may have been opened: sign in again.',
      headers: ClientKind,
      body: ref(Credentials),
      response: {
        200: answerWithPair('The tokens of a new session.'),
        ...failures(
          ...bodyFailures,
          'invalid_credentials',
          'account_disabled',
          'origin_not_allowed',
          'too_many_requests',
          'revocation_unavailable',
          'service_unavailable'
        )
      }
    }
  }, async (request, reply) => {
    const { username, password, end_other_sessions: endOtherSessions } = request.body
    const pair = await app.sessions.login({ username, password, endOtherSessions }, request.requester)
    return app.issuePair(pair, request, reply)
  })
}

export default login
