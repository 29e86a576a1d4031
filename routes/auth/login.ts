import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { Credentials, TokenPair, answer, bodyFailures, failures, ref, toTokenPair } from '../../src/schemas/schemas.ts'

const login: FastifyPluginAsyncTypebox = async app => {
  app.post('/login', {
    schema: {
      operationId: 'login',
      summary: 'Open a session',
      tags: ['auth'],
      security: [],
      description:
        'With `end_other_sessions`, all other sessions of the user end in the same transaction. Use it when a session may be stolen. After 503 `revocation_unavailable` the session may have been opened: sign in again.',
      body: ref(Credentials),
      response: {
        200: answer(TokenPair, 'The tokens of a new session.', { 'Cache-Control': Type.Literal('no-store') }),
        ...failures(
          ...bodyFailures,
          'invalid_credentials',
          'account_disabled',
          'too_many_requests',
          'revocation_unavailable',
          'service_unavailable'
        )
      }
    }
  }, async request => {
    const { username, password, end_other_sessions: endOtherSessions } = request.body
    const pair = await app.sessions.login({ username, password, endOtherSessions }, request.requester)
    return toTokenPair(pair)
  })
}

export default login
