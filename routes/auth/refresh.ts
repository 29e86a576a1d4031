import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  ClientKind, RefreshInput, answerWithPair, bodyFailures, failures, ref
} from '../../src/schemas/schemas.ts'

const refresh: FastifyPluginAsyncTypebox = async app => {
  app.post('/refresh', {
    onRequest: app.admitClient,
    preValidation: app.takeRefreshCookie({ isRequired: true }),
    schema: {
      operationId: 'refresh',
      summary: 'Spend a refresh token for a new pair',
      description:
        'A refresh token works once. For a few seconds after its use, it gets the same pair again: two tabs may refresh at once. Later it gets a new pair while the first one is unused: an answer may be lost. Any other second use ends the session with all its tokens, because the token may be stolen. A cookie client sends no body.',
      tags: ['auth'],
      security: [{ refresh_cookie: [] }, {}],
      headers: ClientKind,
      body: ref(RefreshInput),
      response: {
        200: answerWithPair('The next tokens of the session.'),
        ...failures(
          ...bodyFailures,
          'authorization_required',
          'invalid_token',
          'token_expired',
          'token_revoked',
          'refresh_token_reused',
          'origin_not_allowed',
          'too_many_requests',
          'revocation_unavailable',
          'service_unavailable'
        )
      }
    }
  }, async (request, reply) => {
    const pair = await app.sessions.refresh(request.body.refresh_token, request.requester)
    return app.issuePair(pair, request, reply)
  })
}

export default refresh
