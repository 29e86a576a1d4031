import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { Check, Errors } from 'typebox/schema'
import { packageRoot } from '../../src/package-root.ts'

interface Media { schema: object }
interface Described { headers?: Record<string, { schema: object }>, content?: Record<string, Media> }
interface Operation { responses: Record<string, Described> }

/** An answer of the service, as it came. */
export interface Answer {
  method: string
  path: string
  status: number
  headers: Record<string, unknown>
  body: string
  /** True if the request had X-Signout-CSRF. Only then the answer has the Set-Cookie that the document states. */
  isOfCookieClient?: boolean
}

const document = JSON.parse(readFileSync(`${packageRoot}/openapi.json`, 'utf8')) as {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object> }
}
const routes = Object.entries(document.paths).map(([template, operations]) => ({
  form: new RegExp(`^${template.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`), operations
}))
/** The schemas of bodies that were used, without references. */
const inlined = new Map<Media, object>()
/** Answers whose body is as the document says. Many tests get the same one again and again. */
const asStated = new Set<string>()
const maxKept = 1_000

/** Headers that an answer has only where the document says so. */
const statedHeaders = [
  'retry-after', 'www-authenticate', 'ratelimit', 'ratelimit-policy', 'etag', 'location', 'allow', 'set-cookie'
]

/** Returns what an answer has that openapi.json does not say, or lacks that it says; undefined if it is as it says. */
export function findBreach (
  { method, path, status, headers, body, isOfCookieClient = false }: Answer
): string | undefined {
  const [bare = ''] = path.split('?', 1)
  const operation = routes.find(({ form }) => form.test(bare))?.operations[method.toLowerCase()]
  if (operation === undefined) return undefined
  const described = operation.responses[String(status)]
  const name = `${method} ${bare} ${status}`
  if (described === undefined) return `${name} is not in openapi.json: ${body.slice(0, 200)}`
  return findWrongHeader(described, headers, name, isOfCookieClient) ?? findWrongBody(described, headers, body, name)
}

function findWrongHeader (
  described: Described, headers: Answer['headers'], name: string, isOfCookieClient: boolean
): string | undefined {
  const stated = Object.fromEntries(
    Object.entries(described.headers ?? {})
      .map(([header, { schema }]) => [header.toLowerCase(), schema] as const)
      .filter(([header]) => header !== 'set-cookie' || isOfCookieClient)
  )
  for (const [header, schema] of Object.entries(stated)) {
    const { type } = schema as { type?: string }
    const value = headers[header]
    if (value === undefined) return `${name} has no ${header}, which openapi.json states`
    if (!Check(schema, type === 'integer' ? Number(value) : value)) return `${name} has ${header}: ${String(value)}`
  }
  const extra = statedHeaders.find(header => headers[header] !== undefined && !(header in stated))
  return extra === undefined ? undefined : `${name} has ${extra}, which openapi.json does not state`
}

function findWrongBody (
  { content }: Described, headers: Answer['headers'], body: string, name: string
): string | undefined {
  if (content === undefined) return body === '' ? undefined : `${name} has a body, which openapi.json does not state`
  const [type = ''] = String(headers['content-type']).split(';', 1)
  const media = content[type]
  if (media === undefined) return `${name} is of the type ${type}, which openapi.json does not state`
  if (type !== 'application/json') return undefined
  const answer = `${name} ${body}`
  if (asStated.has(answer)) return undefined
  const value = parsed(body)
  const schema = inlined.get(media) ?? inline(media.schema) as object
  inlined.set(media, schema)
  if (Check(schema, value)) {
    if (asStated.size === maxKept) asStated.clear()
    asStated.add(answer)
    return undefined
  }
  return `${name}: ${JSON.stringify(Errors(schema, value)[1])} in ${body}`
}

/** Replaces each reference by its schema. To follow one, TypeBox searches the whole document, for each answer again. */
function inline (schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(inline)
  if (typeof schema !== 'object' || schema === null) return schema
  if ('$ref' in schema) return inline(document.components.schemas[String(schema.$ref).replace(/^.*\//, '')])
  return Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, inline(part)]))
}

/** Returns the value of a body; undefined if it is no JSON, which no schema accepts. */
function parsed (body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

/** Fails the test for each answer of an app that is not as openapi.json says. */
export function watchAnswers (t: Test, app: FastifyInstance): void {
  const seen = new Set<string>()
  app.addHook('onSend', async (request, reply, payload) => {
    const { method, url: path, headers: { 'x-signout-csrf': csrf } } = request
    const isOfCookieClient = csrf !== undefined
    // Fastify drops the body of these afterwards.
    const isEmpty = typeof payload !== 'string' || reply.statusCode === 204 || reply.statusCode === 304
    const body = isEmpty ? '' : payload
    if (method !== 'HEAD' && (payload === null || payload === undefined || typeof payload === 'string')) {
      const breach = findBreach({
        method, path, status: reply.statusCode, headers: reply.getHeaders(), body, isOfCookieClient
      })
      if (breach !== undefined && !seen.has(breach)) t.fail(breach)
      if (breach !== undefined) seen.add(breach)
    }
    return payload
  })
}
