import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import {
  GrantInput, GrantedTokens, answer, formConsumes, oauthFailures, ref, toGrantedTokens
} from '../../src/schemas/schemas.ts'

const token: FastifyPluginAsyncTypebox = async app => {
  app.post('/token', {
    schema: {
      operationId: 'grantTokens',
      summary: 'Exchange a refresh token, as OAuth does',
      description:
        'RFC 6749, section 6. Does as `POST /refresh`. The tokens of `POST /login` belong to the public client `signout`, which has no secret: send `client_id=signout`.',
      tags: ['oauth'],
      security: [],
      consumes: formConsumes,
      body: ref(GrantInput),
      response: {
        200: answer(GrantedTokens, 'The next tokens of the session.', { 'Cache-Control': Type.Literal('no-store') }),
        ...oauthFailures('OAuthGrantRefused')
      }
    }
  }, async request => {
    const client = await app.requireClient(request)
    return toGrantedTokens(await app.oauth.grant(client, request.body, request.requester))
  })
}

export default token
