import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  ClientKind, LoggedOut, LogoutQuery, LogoutInput, answer, bodyFailures, deletedCookie, failures, ref, tokenFailures,
  wrongPassword
} from '../../src/schemas/schemas.ts'

const logout: FastifyPluginAsyncTypebox = async app => {
  app.post('/logout', {
    onRequest: app.admitClient,
    preValidation: app.takeRefreshCookie({ isRequired: false }),
    schema: {
      operationId: 'logout',
      summary: 'End sessions',
      description:
        'Send what you have: an access token, a refresh token, or both. Every good one ends its session, and the request fails only if none is good. An access token that has expired still ends its own session. A `scope` needs a login of the last ten minutes (`REAUTHENTICATION_MAX_AGE`), or the `password`; otherwise nothing ends. After the answer 200, every replica refuses the tokens of the sessions that ended. After 401 `token_revoked` the session had ended before. After 503 sessions may still live: try again, which is always safe.',
      tags: ['auth'],
      security: [{ bearer: [] }, { refresh_cookie: [] }, {}],
      headers: ClientKind,
      querystring: LogoutQuery,
      body: ref(LogoutInput),
      response: {
        200: answer(LoggedOut, 'The sessions have ended, on every replica.', { 'Set-Cookie': deletedCookie }),
        ...failures(
          ...bodyFailures,
          ...tokenFailures,
          'refresh_token_reused',
          'insufficient_user_authentication',
          wrongPassword,
          'origin_not_allowed',
          'too_many_requests',
          'service_unavailable'
        )
      }
    }
  }, async (request, reply) => {
    const { query: { scope = 'session' }, body, requester } = request
    const access = await app.readAccessProof(request, reply)
    const { refresh_token: refreshToken, password } = body ?? {}
    const credentials = { access, refreshToken: refreshToken ?? undefined }
    await app.logout.withCredentials(credentials, { scope, password, requester })
    app.deleteRefreshCookie(request, reply)
    return { message: 'Successfully logged out' as const }
  })
}

export default logout
