/** An OpenAPI document, as far as it is changed here. */
interface Document {
  openapi: string
  paths?: Record<string, Record<string, { requestBody?: Body, security?: object[] }>>
  components?: { schemas?: Record<string, JsonSchema> }
}

interface Body { required?: boolean, content?: Record<string, { schema?: { $ref?: string } }> }

interface JsonSchema {
  type?: string | string[]
  oneOf?: object[]
  'x-exactly-one-of'?: string[]
}

/** Keywords of the validation, which the document says in other words. */
const ownKeywords = new Set(['x-must', 'x-lower-cased', 'x-new-password'])

/**
 * Returns the document for others: without keywords that only our validation knows. A body is optional in it if the
 * body accepts null, or if a cookie can take its place. @fastify/swagger marks every body as required.
 */
export function toPublicDocument<D extends object> (document: D): D {
  const text = JSON.stringify(document, (key, value: unknown) => (ownKeywords.has(key) ? undefined : typed(value)))
  const copy = JSON.parse(text) as Document
  const schemas = copy.components?.schemas ?? {}
  for (const schema of Object.values(schemas)) stateExactlyOne(schema)
  for (const { requestBody, security = [] } of Object.values(copy.paths ?? {}).flatMap(path => Object.values(path))) {
    const name = requestBody?.content?.['application/json']?.schema?.$ref?.split('/').at(-1) ?? ''
    const type = schemas[name]?.type
    const isOptional = (Array.isArray(type) && type.includes('null')) || security.some(way => 'refresh_cookie' in way)
    if (requestBody !== undefined && isOptional) requestBody.required = false
  }
  return copy as unknown as D
}

/** Returns the schema of an enumeration with its type, which TypeBox leaves out, and generators need. */
function typed (value: unknown): unknown {
  const { enum: values, type } = (value ?? {}) as { enum?: unknown, type?: unknown }
  const isUntyped = Array.isArray(values) && type === undefined && values.every(each => typeof each === 'string')
  return isUntyped ? { type: 'string', ...value as object } : value
}

/** States in JSON Schema that exactly one of some properties must be given. */
function stateExactlyOne (schema: JsonSchema): void {
  const { 'x-exactly-one-of': names } = schema
  if (names === undefined) return
  delete schema['x-exactly-one-of']
  schema.oneOf = names.map(name => ({ required: [name] }))
}
