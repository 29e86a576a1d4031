import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import {
  RefreshInput, TokenPair, answer, bodyFailures, failures, ref, toTokenPair
} from '../../src/schemas/schemas.ts'

const refresh: FastifyPluginAsyncTypebox = async app => {
  app.post('/refresh', {
    schema: {
      operationId: 'refresh',
      summary: 'Spend a refresh token for a new pair',
      description:
        'A refresh token works once. For a few seconds after its use, it gets the same pair again: two tabs may refresh at once. Later it gets a new pair while the first one is unused: an answer may be lost. Any other second use ends the session with all its tokens, because the token may be stolen.',
      tags: ['auth'],
      security: [],
      body: ref(RefreshInput),
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
