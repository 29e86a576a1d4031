import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import {
  Introspection, IntrospectionInput, answer, formConsumes, oauthFailures, ref
} from '../../src/schemas/schemas.ts'

const introspect: FastifyPluginAsyncTypebox = async app => {
  app.post('/introspect', {
    schema: {
      operationId: 'introspectToken',
      summary: 'Ask whether a token is accepted now',
      description:
        'RFC 7662, for registered clients. Asks the blocklist, so a token is inactive once its logout is answered. A token that is revoked, expired, foreign or malformed gets `{"active": false}`. While that cannot be told, the answer is 503, and never `active: false`.',
      tags: ['oauth'],
      security: [],
      consumes: formConsumes,
      body: ref(IntrospectionInput),
      response: {
        200: answer(Introspection, 'The state of the token.', { 'Cache-Control': Type.Literal('no-store') }),
        ...oauthFailures('OAuthActRefused')
      }
    }
  }, async request => {
    const client = await app.requireClient(request)
    return await app.oauth.introspect(client, request.body.token)
  })
}

export default introspect
