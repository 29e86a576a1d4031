import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import {
  PasswordChange, PasswordProof, TokenPair, answer, bodyFailures, failures, ref, toTokenPair, tokenFailures,
  wrongPassword
} from '../../src/schemas/schemas.ts'

const newPair = (description: string) => ({
  200: answer(TokenPair, description, { 'Cache-Control': Type.Literal('no-store') }),
  ...failures(
    ...bodyFailures, ...tokenFailures, wrongPassword, 'account_disabled', 'too_many_requests', 'service_unavailable'
  )
})

const password: FastifyPluginAsyncTypebox = async app => {
  app.put('/me/password', {
    onRequest: app.authenticateToRepeat('password_changed'),
    schema: {
      operationId: 'changePassword',
      summary: 'Set a new password, end every session of the user, and open a new one',
      description:
        'The session of the request ends too, so a thief who shares it has lost it. After 503 it may have ended: send the same request again.',
      tags: ['me'],
      security: [{ bearer: [] }],
      body: ref(PasswordChange),
      response: newPair('The tokens of the new session.')
    }
  }, async ({ user: { sub: userId, sid: sessionId }, body, requester }) => {
    return toTokenPair(
      await app.accounts.changePassword({ userId, sessionId }, body.current_password, body.new_password, requester)
    )
  })

  app.post('/reauthenticate', {
    onRequest: app.authenticateToRepeat('reauthenticated'),
    schema: {
      operationId: 'reauthenticate',
      summary: 'Prove the password again, for a new session in place of this one',
      description:
        'What may hurt the owner of an account needs a login of the last ten minutes (`REAUTHENTICATION_MAX_AGE`). This request counts as one. The old session ends, with all its tokens. After 503 it may have ended: send the same request again.',
      tags: ['auth'],
      security: [{ bearer: [] }],
      body: ref(PasswordProof),
      response: newPair('The tokens of the new session.')
    }
  }, async ({ user: { sub: userId, sid: sessionId }, body, requester }) => {
    return toTokenPair(await app.accounts.reauthenticate({ userId, sessionId }, body.password, requester))
  })
}

export default password
