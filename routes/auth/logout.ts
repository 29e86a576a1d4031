import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { SignoutError } from '../../src/errors.ts'
import {
  LoggedOut, LogoutQuery, LogoutRequest, answer, bodyFailures, failures, ref, tokenFailures
} from '../../src/schemas/schemas.ts'

const logout: FastifyPluginAsyncTypebox = async app => {
  app.post('/logout', {
    onRequest: async (request, reply) => {
      if (request.headers.authorization !== undefined) await app.authenticateToEnd(request, reply)
    },
    schema: {
      operationId: 'logout',
      summary: 'End sessions',
      description:
        'Ends the session of an access token, or of a refresh token if the access token has expired. After the answer 200, every replica refuses the tokens of the sessions that ended. After 503 the sessions may still live: try again, which is always safe.',
      tags: ['auth'],
      security: [{ bearer: [] }, {}],
      querystring: LogoutQuery,
      body: ref(LogoutRequest),
      response: {
        200: answer(LoggedOut, 'The sessions have ended, on every replica.'),
        ...failures(...bodyFailures, ...tokenFailures, 'refresh_token_reused', 'service_unavailable')
      }
    }
  }, async request => {
    const { query: { scope = 'session' }, body, requester } = request
    const hasAccessToken = request.headers.authorization !== undefined
    const refreshToken = body?.refresh_token
    if (hasAccessToken && refreshToken !== undefined) {
      throw new SignoutError('invalid_request', { description: 'Send an access token or a refresh token, not both.' })
    }
    if (hasAccessToken) await app.sessions.logout.withAccessToken(request.user, scope, requester)
    else if (refreshToken !== undefined) await app.sessions.logout.withRefreshToken(refreshToken, scope, requester)
    else throw new SignoutError('authorization_required')
    return { message: 'Successfully logged out' as const }
  })
}

export default logout
