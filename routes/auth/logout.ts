import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LoggedOut, NoBody, answer, failures, tokenFailures } from '../../src/schemas.ts'

const logout: FastifyPluginAsyncTypebox = async app => {
  app.post('/logout', {
    onRequest: app.authenticate,
    schema: {
      operationId: 'logout',
      summary: 'End this session',
      description: 'Once this is answered 200, every request that starts later with a token of this session is refused, on every replica. On 503 nothing may be concluded; trying again is safe.',
      tags: ['auth'],
      security: [{ bearer: [] }],
      body: NoBody,
      response: { 200: answer(LoggedOut, 'The session has ended, everywhere.'), ...failures('invalid_request', 'payload_too_large', 'unsupported_media_type', ...tokenFailures) }
    }
  }, async request => {
    await app.sessions.logout(request.user)
    return { message: 'Successfully logged out' as const }
  })
}

export default logout
