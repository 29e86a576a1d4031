import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  ClientKind, PasswordChange, PasswordProof, answerWithPair, bodyFailures, failures, ref, tokenFailures, wrongPassword
} from '../../src/schemas/schemas.ts'

const newPair = (description: string) => ({
  200: answerWithPair(description),
  ...failures(
    ...bodyFailures, ...tokenFailures, wrongPassword, 'account_disabled', 'origin_not_allowed', 'too_many_requests',
    'service_unavailable'
  )
})

const password: FastifyPluginAsyncTypebox = async app => {
  app.put('/me/password', {
    onRequest: [app.admitClient, app.authenticateToRepeat('password_changed')],
    schema: {
      operationId: 'changePassword',
      summary: 'Set a new password, end every session of the user, and open a new one',
      description:
        'The session of the request ends too, so a thief who shares it has lost it. After 503 it may have ended: send the same request again.',
      tags: ['me'],
      security: [{ bearer: [] }],
      headers: ClientKind,
      body: ref(PasswordChange),
      response: newPair('The tokens of the new session.')
    }
  }, async (request, reply) => {
    const { user: { sub: userId, sid: sessionId }, body: { current_password: current, new_password: next } } = request
    const pair = await app.accounts.changePassword({ userId, sessionId }, current, next, request.requester)
    return app.issuePair(pair, request, reply)
  })

  app.post('/reauthenticate', {
    onRequest: [app.admitClient, app.authenticateToRepeat('reauthenticated')],
    schema: {
      operationId: 'reauthenticate',
      summary: 'Prove the password again, for a new session in place of this one',
      description:
        'What may hurt the owner of an account needs a login of the last ten minutes (`REAUTHENTICATION_MAX_AGE`). This request counts as one. The old session ends, with all its tokens. After 503 it may have ended: send the same request again.',
      tags: ['auth'],
      security: [{ bearer: [] }],
      headers: ClientKind,
      body: ref(PasswordProof),
      response: newPair('The tokens of the new session.')
    }
  }, async (request, reply) => {
    const { user: { sub: userId, sid: sessionId }, body, requester } = request
    const pair = await app.accounts.reauthenticate({ userId, sessionId }, body.password, requester)
    return app.issuePair(pair, request, reply)
  })
}

export default password
