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
      body: ref(Credentials),
      response: {
        200: answer(TokenPair, 'The tokens of a new session.', { 'Cache-Control': Type.Literal('no-store') }),
        ...failures(
          ...bodyFailures, 'invalid_credentials', 'account_disabled', 'too_many_requests', 'service_unavailable'
        )
      }
    }
  }, async request => {
    const { username, password } = request.body
    const pair = await app.sessions.login(username, password, request.requester)
    return toTokenPair(pair)
  })
}

export default login
