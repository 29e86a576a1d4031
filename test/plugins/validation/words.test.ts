import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { components } from '../../../src/schemas/schemas.ts'
import { build, serversEnv } from '../../support/app.ts'
import { signUpAdmin } from '../../support/people.ts'
import { send, type Route } from '../../support/requests.ts'

interface Schema {
  $ref?: string
  type?: string | string[]
  enum?: unknown[]
  properties?: Record<string, Schema>
  format?: string
  pattern?: string
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
}
interface Operation {
  parameters?: Array<{ name: string, in: 'path' | 'query' | 'header', schema: Schema }>
  requestBody?: { content: { 'application/json'?: { schema: Schema } } }
}
interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}
/** A request with one wrong value, and the path of that value in the error. */
interface Wrong { route: Route, body?: object | string, path: string }

/** A longer body is refused before its schema is asked, in bytes. */
const maxBodyLength = 65_536

/** Returns values that a schema refuses, by the keyword that refuses them. */
function wrongValues (schema: Schema): Array<[keyword: string, value: unknown]> {
  const { enum: words, format, pattern, minLength, maxLength, minimum, maximum } = schema
  const types = [schema.type ?? (words === undefined ? [] : 'string')].flat()
  return [
    ['type', types.includes('string') ? 1 : 'no'],
    ['type', []],
    ...words === undefined ? [] : [['enum', 'no'] as const],
    ...format === 'uuid' ? [['format', 'no'] as const, ['format', `urn:uuid:${crypto.randomUUID()}`] as const] : [],
    ...pattern === undefined ? [] : [['pattern', '!'] as const, ['pattern', 'x'.repeat(300)] as const],
    ...minLength === undefined ? [] : [['minLength', ''] as const],
    ...maxLength === undefined ? [] : [['maxLength', 'x'.repeat(maxLength + 1)] as const],
    ...minimum === undefined ? [] : [['minimum', minimum - 1] as const, ['minimum', minimum + 0.5] as const],
    ...maximum === undefined ? [] : [['maximum', maximum + 1] as const],
    ...'x-new-password' in schema ? [['x-new-password', 'short'] as const] : []
  ] as Array<[string, unknown]>
}

/** Returns a wrong request for each value of an operation that can be wrong. */
function wrongRequests (method: string, path: string, operation: Operation): Wrong[] {
  const fill = (value: string) => path.replace(/\{\w+\}/, encodeURIComponent(value))
  const route = (url: string) => `${method.toUpperCase()} ${url}` as Route
  const good = route(fill(crypto.randomUUID()))
  const body = operation.requestBody === undefined ? undefined : {}
  // Any text is good in a header.
  const sent = (operation.parameters ?? []).filter(({ in: place }) => place !== 'header')
  const parameters = sent.flatMap(({ name, in: place, schema }) => {
    // Any text is a string, and a list of one. A long one in a path is refused before its schema is asked.
    const takesAny = ['string', 'array'].includes(String(schema.type))
    const texts = wrongValues(schema).filter(([keyword]) =>
      !(keyword === 'type' && takesAny) && !(keyword === 'maxLength' && place === 'path'))
    return texts.map(([, value]) => String(value)).filter(text => text !== '').map(text => place === 'query'
      ? { route: `${good}?${name}=${encodeURIComponent(text)}` as Route, body, path: `/${name}` }
      : { route: route(fill(text)), body, path: `/${name}` })
  })
  const reference = operation.requestBody?.content['application/json']?.schema.$ref?.split('/').at(-1)
  if (reference === undefined) return parameters
  // The document lacks the keywords that only our validation knows.
  const { properties = {} } = (components.find(({ $id }) => $id === reference) ?? {}) as Schema
  return [
    ...parameters,
    { route: good, body: '[]', path: '' },
    { route: good, body: { unknown: 1 }, path: '/unknown' },
    ...Object.entries(properties).flatMap(([name, schema]) =>
      wrongValues(schema).filter(([, value]) => String(value).length < maxBodyLength)
        .map(([, value]) => ({ route: good, body: { [name]: value }, path: `/${name}` })))
  ]
}

/** Returns the message about a wrong value, or the whole answer if it has none. */
async function messageFor (app: FastifyInstance, token: string, { route, body, path }: Wrong): Promise<string> {
  const answer = await send(app, route, { token, body, headers: body === undefined ? {} : json })
  const { description, details = [] } = answer.json() as { description: string, details?: Detail[] }
  const found = details.filter(detail => detail.path === path)
  return answer.statusCode === 400 && /^The (body|query|address) is invalid\./.test(description) && found.length === 1
    ? String(found[0]?.message)
    : `${answer.statusCode} ${answer.body}`
}
type Detail = { path: string, message: string }
const json = { 'content-type': 'application/json' }

t.test('every value that a schema of the API refuses is refused in words, never with a pattern', async t => {
  const app = await build(t, await serversEnv(t))
  const { token } = await signUpAdmin(app)
  const document = app.swagger() as unknown as Document
  const messages = new Set<string>()
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      for (const wrong of wrongRequests(method, path, operation)) {
        const message = await messageFor(app, token, wrong)
        messages.add(message)
        t.match(message, /^(must|is) [a-z]/, `${wrong.route} ${wrong.path} ${JSON.stringify(wrong.body)?.slice(0, 60)}`)
        t.notMatch(message, /[\\^$*?()[\]{}|]|pattern|form$/, message)
      }
    }
  }
  t.ok(messages.size > 20, [...messages].join('; '))
})
