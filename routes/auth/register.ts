import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import {
  Registration, UserAccount, answer, bodyFailures, failures, ref, toUserAccount
} from '../../src/schemas/schemas.ts'

const register: FastifyPluginAsyncTypebox = async app => {
  app.post('/register', {
    onRequest: async () => { app.accounts.requireOpenRegistration() },
    schema: {
      operationId: 'register',
      summary: 'Create a user',
      description: 'The user has the role `user`. 403 with `REGISTRATION=closed`.',
      tags: ['auth'],
      security: [],
      body: ref(Registration),
      response: {
        201: answer(UserAccount, 'The new user.', {
          Location: Type.String({
            maxLength: 100, description: 'The address of the account, for requests of the user.'
          })
        }),
        ...failures(
          ...bodyFailures, 'registration_closed', 'username_taken', 'too_many_requests', 'service_unavailable'
        )
      }
    }
  }, async (request, reply) => {
    const { username, password } = request.body
    await app.limits.register(request.requester.ip)
    const user = await app.accounts.register(username, password, request.requester)
    return reply.code(201).header('location', '/me').send(toUserAccount(user))
  })
}

export default register
