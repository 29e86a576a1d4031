import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  RevocationQuery, RevocationOrder, RevocationResult, actFailures, answer, bodyFailures, failures, ref,
  toRevocationRequest, toRevocationResult
} from '../src/schemas/schemas.ts'

const revocations: FastifyPluginAsyncTypebox = async app => {
  app.post('/revocations', {
    onRequest: app.authenticateAdminToEnd,
    schema: {
      operationId: 'revoke',
      summary: 'Revoke a token, a session, all sessions of a user, or everyone\'s',
      description:
        '`sid` and `subject` end sessions, with their refresh tokens. `token` and `jti` revoke one access token. `everyone` ends all sessions at once, for after an incident: every replica refuses their tokens before this is answered.',
      tags: ['administration'],
      security: [{ bearer: [] }],
      querystring: RevocationQuery,
      body: ref(RevocationOrder),
      response: {
        200: answer(RevocationResult, 'The tokens and sessions that every replica refuses now.'),
        ...failures(...bodyFailures, ...actFailures, 'not_found')
      }
    }
  }, async ({ user, query: { dry_run: dryRun }, body, requester }) => {
    const request = toRevocationRequest(body)
    const { preview, revoke } = app.revocationRequests
    return toRevocationResult(
      dryRun ? await preview(request) : await revoke(request, { id: user.sub, sid: user.sid, requester }), dryRun
    )
  })
}

export default revocations
