import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Registration, UserAccount, answer, failures, ref, toUserAccount } from '../../src/schemas.ts'

const register: FastifyPluginAsyncTypebox = async app => {
  app.post('/register', {
    schema: {
      operationId: 'register',
      summary: 'Create a user',
      tags: ['auth'],
      security: [],
      body: ref(Registration),
      response: {
        201: answer(UserAccount, 'The new user.', { Location: Type.String({ description: 'Where the user finds itself, once signed in.' }) }),
        ...failures('invalid_request', 'username_taken', 'payload_too_large', 'unsupported_media_type', 'service_unavailable')
      }
    }
  }, async (request, reply) => {
    const user = await app.users.register(request.body.username, request.body.password)
    return reply.code(201).header('location', '/me').send(toUserAccount(user))
  })
}

export default register
