type Json = unknown
type JsonObject = Record<string, Json>

interface Document {
  openapi: string
  info: { license: { name: string, identifier: string } }
  servers?: unknown
}

/**
 * Returns a document of OpenAPI 3.1 as one of 3.0, for generators that know no later one. It says what 3.0 can say:
 * `nullable` for a type that may be null, an `enum` of one value for a `const`, one `example` for several, and "exactly
 * one of" in the description alone. An answer in several media types has its JSON.
 *
 * @param serverUrl the address of the service. The generators for 3.0 know no relative one.
 */
export function toOpenapi30 (document: object, serverUrl: string): object {
  const { openapi: _, info, servers: __, ...rest } = document as Document
  const { name, identifier } = info.license
  const license = { name, url: `https://spdx.org/licenses/${identifier}.html` }
  return { openapi: '3.0.3', info: { ...info, license }, servers: [{ url: serverUrl }], ...convert(rest) as object }
}

/** The types of bodies that are kept, the first that there is. The bodies of OAuth are forms. */
const bodyTypes = ['application/json', 'application/x-www-form-urlencoded']

function convert (value: Json): Json {
  if (Array.isArray(value)) return value.map(convert)
  if (typeof value !== 'object' || value === null) return value
  const converted: JsonObject = {}
  for (const [key, item] of Object.entries(value)) Object.assign(converted, convertKeyword(key, item))
  return converted
}

function convertKeyword (key: string, value: Json): JsonObject {
  if (key === 'const') return { enum: [value] }
  if (key === 'examples' && Array.isArray(value)) return { example: value[0] as Json }
  if (key === 'type' && Array.isArray(value)) return { type: value.find(type => type !== 'null'), nullable: true }
  if (key === 'oneOf' && Array.isArray(value) && value.every(isRequirement)) return {}
  if (key === 'content') {
    const bodies = value as JsonObject
    const type = bodyTypes.find(type => type in bodies) as string
    return { content: { [type]: convert(bodies[type] as Json) } }
  }
  return { [key]: convert(value) }
}

/** Returns true for a schema that only requires a property. Generators for 3.0 make a class of its own of it. */
function isRequirement (schema: Json): boolean {
  return Object.keys(schema as object).join() === 'required'
}
