import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { createContext, runInContext } from 'node:vm'
import t from 'tap'
import {
  hasCode, isSignoutError, SignoutError, type Answer, type Client, type ErrorCode, type Route, type ServerErrorCode
} from '../../client/index.ts'
import { toError } from '../../client/http/errors.ts'
import { addressOf, isPublic, isRepeatable } from '../../client/http/routes.ts'
import { packageRoot } from '../../src/package-root.ts'

const read = (path: string) => readFileSync(join(packageRoot, path), 'utf8')
interface Operation { security?: unknown[] }
const document = JSON.parse(read('openapi.json')) as {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, { properties?: { error?: { enum?: string[] } } }> }
}

t.test('guards know an error of another realm, of another copy of the package, and of a worker', async t => {
  const other = runInContext(
    "Object.assign(new Error('x'), { name: 'SignoutError', code: 'token_revoked' })", createContext()
  )
  const copy = await import(pathToFileURL(join(packageRoot, 'dist', 'client', 'index.js')).href) as {
    SignoutError: typeof SignoutError
  }
  const ofCopy = new copy.SignoutError('token_revoked', 'x')
  const posted = structuredClone({ ...ofCopy, name: ofCopy.name, message: ofCopy.message })
  for (const error of [other, ofCopy, posted, new SignoutError('token_revoked', 'x')]) {
    t.ok(isSignoutError(error))
    t.ok(hasCode(error, 'token_expired', 'token_revoked'))
    t.notOk(hasCode(error, 'token_expired'))
  }
  t.notOk(ofCopy instanceof SignoutError, 'instanceof would not know it')
  for (const error of [undefined, null, 'SignoutError', new Error('x'), { name: 'SignoutError' }]) {
    t.notOk(isSignoutError(error))
  }
})

t.test('the codes are closed for guards, and open for a code of a newer service', async t => {
  const answer = Response.json({ error: 'too_many_moons', description: 'Wait.' }, { status: 429 })
  const error = await toError(answer)
  t.match(error, { code: 'too_many_moons', status: 429, message: 'Wait.' })
  const unknown: unknown = error
  if (hasCode(unknown, 'token_revoked', 'signed_out')) {
    const code: 'token_revoked' | 'signed_out' = unknown.code
    t.fail(code)
  }
  // @ts-expect-error It is no code.
  t.notOk(hasCode(error, 'token_revokd'))
})

t.test('the type of codes has every code of the document', async t => {
  // The errors of OAuth have codes of their own. The client has no route that answers with them.
  const bodies = Object.values(document.components.schemas).map(({ properties = {} }) => properties)
    .filter(properties => !('error_description' in properties))
  const codes = bodies.flatMap(({ error }) => error?.enum ?? [])
  const known: Record<ServerErrorCode, true> = {
    account_disabled: true,
    authorization_required: true,
    forbidden: true,
    insufficient_user_authentication: true,
    internal_error: true,
    invalid_credentials: true,
    invalid_request: true,
    invalid_token: true,
    key_not_ready: true,
    key_unavailable: true,
    last_admin: true,
    not_found: true,
    origin_not_allowed: true,
    payload_too_large: true,
    refresh_token_reused: true,
    registration_closed: true,
    revocation_unavailable: true,
    service_unavailable: true,
    token_expired: true,
    token_revoked: true,
    too_many_requests: true,
    unsupported_media_type: true,
    username_taken: true
  }
  const own: Exclude<ErrorCode, ServerErrorCode> = 'signed_out'
  t.notOk(own in known, 'the client has codes of its own')
  t.same(Object.keys(known).sort(), [...new Set(codes)].sort())
})

t.test('an error of the plugin in an own API has its code too', async t => {
  const body = { statusCode: 401, code: 'token_revoked', error: 'Unauthorized', message: 'The token has been revoked.' }
  t.match(await toError(Response.json(body, { status: 401 })), {
    code: 'token_revoked', message: 'The token has been revoked.', status: 401
  })
  const page = new Response('<h1>Bad gateway</h1>', { status: 502 })
  t.match(await toError(page), { code: 'unexpected_answer', status: 502 })
})

t.test('the public routes of the client are those without security in the document', async t => {
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, { security }] of Object.entries(operations)) {
      const route = `${method.toUpperCase()} ${path}`
      if (route === 'POST /refresh' || path.startsWith('/oauth/')) continue
      t.equal(isPublic(route), security?.length === 0, route)
    }
  }
})

t.test('a path, a query and their special characters become the address of a request', async t => {
  t.same(addressOf('https://auth.example.com/', { route: 'GET /users/{id}/sessions', path: { id: 'a/b?' } }), {
    method: 'GET', url: 'https://auth.example.com/users/a%2Fb%3F/sessions'
  })
  t.same(addressOf('', { route: 'GET /users', query: { limit: 2, cursor: 'a=&', none: undefined } }), {
    method: 'GET', url: '/users?limit=2&cursor=a%3D%26'
  })
  t.same(['GET /me', 'POST /refresh', 'POST /refreshing', 'POST /me', 'PATCH /x'].map(isRepeatable), [
    true, true, false, false, false
  ])
})

/** Never run: it is compiled. */
export async function compiled (client: Client): Promise<void> {
  const { sessions } = await client.request('GET /me/sessions', { query: { state: 'over' } })
  const reason: string | undefined = sessions[0]?.end_reason
  await client.request('PUT /users/{id}/role', { path: { id: String(reason) }, body: { role: 'admin' } })
  const nothing: undefined = await client.request('DELETE /me/sessions/{id}', { path: { id: 'a' } })
  const route: Route = 'GET /me'
  const me: Answer<typeof route> = await client.request(route)
  // @ts-expect-error The path is missing.
  await client.request('DELETE /me/sessions/{id}')
  // @ts-expect-error It is for OAuth's clients.
  await client.request('POST /oauth/token')
  // @ts-expect-error A role is a text.
  await client.request('PUT /users/{id}/role', { path: { id: me.id }, body: { role: 1 } })
  // @ts-expect-error The client has a method for it.
  await client.request('POST /login', { body: { username: 'a', password: String(nothing) } })
}
