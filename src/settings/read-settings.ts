import { Type, type TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { Settings } from './settings.ts'

/** Words that complete the sentence "it must be …". */
interface Must {
  must: string
  /** Never repeat the value in a message. */
  secret?: true
}

/**
 * Returns the settings of environment variables, and adds a line to `mistakes` for each that is wrong.
 *
 * A wrong value is kept. Otherwise it would be reported as missing too.
 */
export function readSettings (env: Record<string, string | undefined>, mistakes: string[]): Settings {
  const values: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(Settings.properties as unknown as Record<string, TSchema & Must>)) {
    const text = env[name]
    if (text === undefined || text === '') {
      if ('default' in schema) values[name] = schema.default
      continue
    }
    const value = parse(schema, text)
    if (!Value.Check(schema, value)) mistakes.push(`${name} is ${shown(schema, text)}; it must be ${schema.must}.`)
    values[name] = value
  }
  return values as Settings
}

/** Converts a text to the type of its schema. A text that cannot be converted stays a text, and fails the check. */
function parse (schema: TSchema, text: string): unknown {
  if (Type.IsInteger(schema)) return /^\d+$/.test(text) ? Number(text) : text
  if (Type.IsArray(schema)) return text.split(',').map(item => item.trim())
  return text
}

function shown (schema: Must, text: string): string {
  return schema.secret ? `${Buffer.byteLength(text)} bytes that do not fit` : JSON.stringify(text)
}
