import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { AccessToken, Credentials, answer, failures, ref } from '../../src/schemas.ts'

const login: FastifyPluginAsyncTypebox = async app => {
  app.post('/login', {
    schema: {
      operationId: 'login',
      summary: 'Open a session',
      tags: ['auth'],
      security: [],
      body: ref(Credentials),
      response: {
        200: answer(AccessToken, 'The token of a new session.', { 'Cache-Control': Type.Literal('no-store') }),
        ...failures('invalid_request', 'invalid_credentials', 'payload_too_large', 'unsupported_media_type', 'service_unavailable')
      }
    }
  }, async (request, reply) => {
    const { token, expiresInSeconds } = await app.sessions.login(request.body.username, request.body.password)
    // RFC 6749, section 5.1: a response with a token must not be kept.
    reply.header('cache-control', 'no-store')
    return { access_token: token, token_type: 'Bearer' as const, expires_in: expiresInSeconds }
  })
}

export default login
