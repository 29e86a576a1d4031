import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  RevocationInput, formConsumes, noContent, oauthFailures, ref
} from '../../src/schemas/schemas.ts'

const revoke: FastifyPluginAsyncTypebox = async app => {
  app.post('/revoke', {
    schema: {
      operationId: 'revokeToken',
      summary: 'End the session of a token, as OAuth does',
      description:
        'RFC 7009. An access token or a refresh token ends its session: after the answer 200, every replica refuses all its tokens. A text that is no token gets 200 too. After 503 the session may still live: try again, which is always safe. The client `signout` revokes its own tokens, and a registered client that was created with `--may-revoke` revokes all.',
      tags: ['oauth'],
      security: [],
      consumes: formConsumes,
      body: ref(RevocationInput),
      response: { 200: noContent('The session has ended, on every replica.'), ...oauthFailures('OAuthActRefused') }
    }
  }, async (request, reply) => {
    const client = await app.requireClient(request)
    await app.oauth.revoke(client, request.body.token, request.requester)
    // A 200 with null would have the body `null`.
    return reply.serializer(() => '').send(null)
  })
}

export default revoke
