import { Type, type Static } from 'typebox'
import { component, strict } from './component.ts'

const Path = Type.String({ maxLength: 100 })

export const Service = component('Service', Type.Object({
  name: Type.Literal('signout'),
  version: Type.String({ maxLength: 100 }),
  ready: Type.Boolean({ description: 'True if `/health/ready` is answered 200.' }),
  readiness: Type.String({ maxLength: 1000, description: 'A sentence about it, which names what is not ready.' }),
  links: Type.Object({
    docs: Type.Optional(
      Type.String({ maxLength: 100, description: 'The documentation page. Absent with `DOCS=off`.' })
    ),
    openapi: Path,
    readiness: Path,
    keys: Path
  }, { ...strict, description: 'Paths at this service.' }),
  try_a_logout: Type.Array(Type.Object({
    step: Type.String({ maxLength: 100 }),
    run: Type.String({ maxLength: 4000, description: 'A command for a shell.' }),
    answer: Type.String({ maxLength: 100, description: 'What the service answers.' })
  }, strict), {
    maxItems: 10,
    description: 'Commands to run in this order. They show that a token is refused after its logout.'
  })
}, strict))
export type ServiceDescription = Static<typeof Service>

/**
 * Returns the commands that show a logout. When they are run again, the first one is answered 409, and the others work.
 */
export function logoutToTry (issuer: string): ServiceDescription['try_a_logout'] {
  const url = (path: string) => `'${new URL(issuer).href.replace(/\/$/, '').replaceAll("'", '%27')}${path}'`
  const json = "-H 'Content-Type: application/json'"
  const body = JSON.stringify({ username: 'ada@example.com', password: 'correct horse battery staple' })
  const credentials = `-d '${body}'`
  const bearer = '-H "Authorization: Bearer $TOKEN"'
  return [
    { step: 'Register.', run: `curl ${url('/register')} ${json} ${credentials}`, answer: '201 with the user.' },
    {
      step: 'Sign in, and keep the access token.',
      run: `TOKEN=$(curl -s ${url('/login')} ${json} ${credentials} | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')`,
      answer: '200 with the tokens.'
    },
    { step: 'Use the token.', run: `curl ${url('/me')} ${bearer}`, answer: '200 with the user.' },
    { step: 'Log out.', run: `curl -X POST ${url('/logout')} ${bearer}`, answer: '200.' },
    { step: 'Use the token again.', run: `curl ${url('/me')} ${bearer}`, answer: '401 token_revoked.' }
  ]
}
