import type { FastifyError } from 'fastify'
import type { ErrorDetail } from '../../src/errors.ts'

/** A mistake as Ajv describes it. With its option `verbose` it holds the value, and the schema of it. */
type Mistake = NonNullable<FastifyError['validation']>[number] & { parentSchema?: ValueSchema, data?: unknown }

interface ValueSchema {
  type?: string | string[]
  format?: string
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  /** The words of this project for what a value must be, for a schema whose keywords have none. */
  'x-must'?: string
}

/** The parts of a request in words, by their names in Fastify. */
const partNames: Record<string, string> = { body: 'body', querystring: 'query', params: 'address' }

/**
 * Returns the mistakes of a request, each with its path and with words for people, and a sentence about all of them. A
 * value has one mistake.
 *
 * @param part the part of the request that has the mistakes, as Fastify names it
 */
export function describeMistakes (
  mistakes: Mistake[], part: string = 'request'
): { description: string, details: ErrorDetail[] } {
  const details = new Map<string, ErrorDetail>()
  for (const mistake of mistakes) {
    const detail = describe(mistake)
    if (!details.has(detail.path)) details.set(detail.path, detail)
  }
  const isMissing = mistakes.some(({ instancePath, data }) => instancePath === '' && data === null)
  return {
    description: isMissing
      ? 'The body is empty or null. Send a JSON object.'
      : `The ${partNames[part] ?? part} is invalid. Its mistakes are in details.`,
    details: [...details.values()]
  }
}

/** Returns a mistake with its path. Ajv names a missing or unknown property beside the path of its object. */
function describe (mistake: Mistake): ErrorDetail {
  const { instancePath, params: { missingProperty, additionalProperty } } = mistake
  if (typeof missingProperty === 'string') {
    return { path: pointer(instancePath, missingProperty), message: 'is missing' }
  }
  if (typeof additionalProperty === 'string') {
    return { path: pointer(instancePath, additionalProperty), message: 'is not known here' }
  }
  return { path: instancePath, message: wordsFor(mistake) }
}

/** Returns a JSON Pointer (RFC 6901, section 3). A long name from the client is cut. */
function pointer (parent: string, property: string): string {
  return `${parent}/${property.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/** Returns what a value must be. The words of Ajv are for those who know the schema. */
function wordsFor ({ keyword, params, message, parentSchema = {} }: Mistake): string {
  const { type, format, minLength, maxLength, minimum, maximum, 'x-must': must } = parentSchema
  if (keyword === 'x-new-password' && message !== undefined) return message
  if (keyword === 'enum') return `must be ${(params['allowedValues'] as unknown[]).join(' or ')}`
  if (type === 'integer') return `must be a whole number from ${minimum} to ${maximum}`
  if (format === 'uuid') return 'must be a UUID'
  if (keyword === 'type') return `must be ${typeNames([type ?? []].flat())}`
  if (keyword === 'minLength' && minLength === 1) return 'must not be empty'
  if (must !== undefined) return must
  if (keyword === 'maxLength') return `must have ${maxLength} characters or fewer`
  return 'does not have the right form'
}

const names: Record<string, string> = {
  string: 'a string', boolean: 'true or false', object: 'a JSON object', null: 'null'
}

function typeNames (types: string[]): string {
  return types.map(type => names[type] ?? type).join(' or ')
}
