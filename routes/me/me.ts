import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  PasswordProof, UserAccount, answer, bodyFailures, failures, noContent, ref, toUserAccount, tokenFailures,
  wrongPassword
} from '../../src/schemas/schemas.ts'

const me: FastifyPluginAsyncTypebox = async app => {
  app.get('/me', {
    onRequest: app.authenticate,
    schema: {
      operationId: 'getMe',
      summary: 'The user of the token',
      description: 'The access token says which user. Its claims are at `GET /token`.',
      tags: ['me'],
      security: [{ bearer: [] }],
      response: { 200: answer(UserAccount, 'The user.'), ...failures(...tokenFailures, 'service_unavailable') }
    }
  }, async request => toUserAccount(await app.accounts.get(request.user.sub)))

  app.delete('/me', {
    onRequest: app.authenticateToRepeat('account_deleted'),
    schema: {
      operationId: 'deleteMe',
      summary: 'Delete the account, and end all its sessions',
      description: 'Needs the password. The answer comes once every replica refuses the tokens. There is no way back.',
      tags: ['me'],
      security: [{ bearer: [] }],
      body: ref(PasswordProof),
      response: {
        204: noContent('There is no such account any more.'),
        ...failures(
          ...bodyFailures, ...tokenFailures, wrongPassword, 'last_admin', 'too_many_requests', 'service_unavailable'
        )
      }
    }
  }, async ({ user: { sub: userId, sid: sessionId }, body, requester }, reply) => {
    await app.accounts.delete({ userId, sessionId }, body.password, requester)
    return reply.code(204).send(null)
  })
}

export default me
