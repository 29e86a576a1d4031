import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import {
  RefreshRequest, TokenPair, answer, bodyFailures, failures, ref, toTokenPair
} from '../../src/schemas/schemas.ts'

const refresh: FastifyPluginAsyncTypebox = async app => {
  app.post('/refresh', {
    schema: {
      operationId: 'refresh',
      summary: 'Spend a refresh token for a new pair',
      description:
        'A refresh token works once. A second use ends its session with all its tokens, because the token may be stolen. For a few seconds after the first use, the same token gets the same pair again. So two tabs, or a lost answer, do not sign the user out.',
      tags: ['auth'],
      security: [],
      body: ref(RefreshRequest),
      response: {
        200: answer(TokenPair, 'The next tokens of the session.', { 'Cache-Control': Type.Literal('no-store') }),
        ...failures(
          ...bodyFailures,
          'invalid_token',
          'token_expired',
          'token_revoked',
          'refresh_token_reused',
          'too_many_requests',
          'revocation_unavailable',
          'service_unavailable'
        )
      }
    }
  }, async request => {
    const pair = await app.sessions.refresh(request.body.refresh_token, request.requester)
    return toTokenPair(pair)
  })
}

export default refresh
