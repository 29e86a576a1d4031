import { Type, type TSchema } from 'typebox'
import { answer } from './component.ts'
import { TokenPair } from './sessions.ts'

/** The header that tells cookie clients from bearer clients. */
export const ClientKind = Type.Object({
  'X-Signout-CSRF': Type.Optional(Type.Literal('1', {
    description:
      'Sent by a cookie client: its refresh token is in a cookie, and never in a body. Needs `COOKIES=on` at the service, otherwise the answer is 400.'
  }))
})

function cookie (description: string): TSchema {
  return Type.String({ maxLength: 500, description })
}

/** The header that deletes the cookie. */
export const deletedCookie = cookie('For a cookie client: it deletes the cookie.')

/** Returns the schema of an answer with new tokens. */
export function answerWithPair (description: string) {
  return answer(TokenPair, description, {
    'Cache-Control': Type.Literal('no-store'),
    'Set-Cookie': cookie('For a cookie client: the refresh token, as `__Host-signout-refresh`.')
  })
}
