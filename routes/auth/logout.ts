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
        'In the name of an access token or, where that has expired, of a refresh token. Once this is answered 200, every request that starts later with a token of what it ended is refused, on every replica. On 503 nothing may be concluded; trying again is safe.',
      tags: ['auth'],
      security: [{ bearer: [] }, {}],
      querystring: LogoutQuery,
      body: ref(LogoutRequest),
      response: {
        200: answer(LoggedOut, 'They have ended, everywhere.'),
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
