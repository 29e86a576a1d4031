import t from 'tap'
import { makeOpenapi, openapiFiles, readOpenapi } from '../scripts/openapi.ts'
import { describeError, errorCodes } from '../src/errors.ts'

type Examples = Record<string, { value: { error: string, description?: string, error_description?: string } }>
type Content = { schema: { $ref?: string }, examples?: Examples }
type Operation = {
  operationId?: string
  parameters?: Array<{ name: string, required?: boolean, schema: object }>
  security?: unknown[]
  responses: Record<
    string,
    { description: string, headers?: object, content?: Record<string, Content> }
  >
}
type Document = {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, { properties?: Record<string, { enum?: string[] }>, required?: string[] }> }
}

const document = JSON.parse(readOpenapi('openapi.json')) as Document
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, ...operation })))

t.test('openapi.json and openapi-3.0.json are the documents that the routes generate', async t => {
  const made = await makeOpenapi()
  for (const file of openapiFiles) t.equal(made[file], readOpenapi(file), `${file}: run \`npm run openapi\``)
})

t.test('openapi.json is OpenAPI 3.1 and describes every route', async t => {
  t.match(document.openapi, /^3\.1\./)
  t.same(operations.map(({ name }) => name).sort(), [
    'DELETE /me', 'DELETE /me/sessions/{id}', 'DELETE /users/{id}', 'DELETE /users/{id}/sessions',
    'GET /', 'GET /.well-known/jwks.json', 'GET /.well-known/oauth-authorization-server',
    'GET /health/live', 'GET /health/ready', 'GET /keys', 'GET /me',
    'GET /me/security-events', 'GET /me/sessions', 'GET /token', 'GET /users', 'GET /users/{id}',
    'GET /users/{id}/sessions', 'GET /verify',
    'POST /keys/rotate', 'POST /keys/{kid}/retire', 'POST /login', 'POST /logout',
    'POST /oauth/introspect', 'POST /oauth/revoke', 'POST /oauth/token', 'POST /reauthenticate',
    'POST /refresh', 'POST /register', 'POST /revocations',
    'PUT /me/password', 'PUT /users/{id}/role', 'PUT /users/{id}/status'
  ])
})

t.test('openapi.json fits client generators: operations and schemas are named, answers are described', async t => {
  t.equal(new Set(operations.map(({ operationId }) => operationId)).size, operations.length)
  for (const { name, responses } of operations) {
    for (const [status, { description, content }] of Object.entries(responses)) {
      t.not(description, 'Default Response', `${name} ${status}`)
      const isEmpty = ['POST /oauth/revoke', 'GET /verify'].includes(name) && status === '200'
      if (status === '204' || status === '304' || isEmpty) {
        t.notOk(content, `${name} ${status} carries nothing`)
        continue
      }
      const ref = content?.['application/json']?.schema.$ref ?? ''
      const component = /^#\/components\/schemas\/(\w+)$/.exec(ref)?.[1] ?? ''
      t.ok(component in document.components.schemas, `${name} ${status}: ${ref}`)
      if (Number(status) < 400) continue
      const codes = document.components.schemas[component]?.properties?.['error']?.enum
      t.same(codes, Object.keys(content?.['application/json']?.examples ?? {}), `${name} ${status} has its codes`)
    }
  }
  // A wrong method has no operation.
  const known = Object.values(document.components.schemas)
    .flatMap(({ properties }) => properties?.['error']?.enum ?? [])
  t.same(errorCodes.filter(code => !known.includes(code)), ['method_not_allowed'])
})

t.test('openapi.json gives each error status an example for each of its codes, and for no other', async t => {
  for (const { name, responses } of operations) {
    for (const [status, { description, content }] of Object.entries(responses).filter(([status]) => status >= '400')) {
      const sentences = [...description.matchAll(/^`(\w+)`: (.*)$/gm)]
      const isOAuth = / \/oauth\//.test(name)
      const codes = sentences.map(([, error, sentence]) => ({
        error, [isOAuth ? 'error_description' : 'description']: sentence
      }))
      t.ok(codes.length > 0, `${name} ${status}`)
      const examples = content?.['application/json']?.examples ?? {}
      t.same(Object.values(examples).map(({ value }) => value), codes, `${name} ${status}`)
      for (const { error } of codes) {
        const usual = isOAuth ? Number(status) : describeError(error as 'forbidden').statusCode
        t.ok(usual === Number(status) || (error === 'invalid_credentials' && status === '403'), `${name} ${error}`)
      }
    }
  }
})

t.test('openapi.json makes every parameter and property with a default optional', async t => {
  const parameters = operations.flatMap(({ name, parameters = [] }) =>
    parameters.map(parameter => ({ ...parameter, name: `${name} ${parameter.name}` }))
  )
  const withDefault = parameters.filter(({ schema }) => 'default' in schema)
  t.same(
    withDefault.map(({ name }) => name),
    ['GET /me/sessions state', 'GET /me/security-events limit', 'GET /users limit', 'POST /revocations dry_run']
  )
  for (const { name, required } of withDefault) t.not(required, true, name)
  t.same(
    parameters
      .filter(({ required }) => required === true)
      .map(({ name }) => name.split(' ')[2])
      .filter(name => name !== 'id' && name !== 'kid'),
    [],
    'only the id in a path is required'
  )
  for (const [name, { properties, required = [] }] of Object.entries(document.components.schemas)) {
    t.same(required.filter(property => 'default' in (properties?.[property] ?? {})), [], name)
  }
})

t.test('openapi.json says which routes need a token, and how they answer a bad one', async t => {
  for (const { name, security, responses } of operations) {
    if (/ \/(me|token|logout|reauthenticate|users|revocations|keys|verify)\b/.test(name)) {
      // A logout may come with a refresh token instead, in the body or in the cookie.
      const ways = name === 'POST /logout' ? [{ bearer: [] }, { refresh_cookie: [] }, {}] : [{ bearer: [] }]
      t.same(security, ways, name)
      t.ok(responses['401']?.headers && 'WWW-Authenticate' in responses['401'].headers, name)
      t.ok(responses['503']?.headers && 'Retry-After' in responses['503'].headers, name)
      for (const code of ['authorization_required', 'invalid_token', 'token_expired', 'token_revoked']) {
        t.match(responses['401']?.description, code, name)
      }
      t.match(responses['503']?.description, 'revocation_unavailable', name)
      if (/ \/(users|revocations|keys)\b/.test(name)) t.match(responses['403']?.description, 'forbidden', name)
    } else if (/ \/oauth\//.test(name)) {
      t.same(security, [], `${name}: clients authenticate in the body or the header`)
      t.ok(responses['401']?.headers && 'WWW-Authenticate' in responses['401'].headers, name)
      t.ok(responses['503']?.headers && 'Retry-After' in responses['503'].headers, name)
    } else {
      t.same(security, name === 'POST /refresh' ? [{ refresh_cookie: [] }, {}] : [], name)
    }
  }
})
