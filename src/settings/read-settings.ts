import { Type, type TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { fileVariableOf, readSecret } from './secret-files.ts'
import { Settings } from './settings.ts'

/** The schema of a setting, with words that complete the sentence "it must be …". */
export type SettingSchema = TSchema & {
  must: string
  description: string
  /** True for a secret. No message repeats its value, and a file can hold it: NAME_FILE. */
  secret?: true
}

/** Every setting: the name of its variable, and its schema. */
export const settings = Object.entries(Settings.properties as unknown as Record<string, SettingSchema>)

/**
 * Returns the settings of environment variables, and adds a line to `mistakes` for each that is wrong.
 *
 * A wrong value is kept. Otherwise it would be reported as missing too.
 */
export function readSettings (env: Record<string, string | undefined>, mistakes: string[]): Settings {
  const values: Record<string, unknown> = {}
  for (const [name, schema] of settings) {
    const before = mistakes.length
    const text = schema.secret === true ? readSecret(name, env, mistakes) : env[name] || undefined
    if (text === undefined) {
      if ('default' in schema) values[name] = schema.default
      continue
    }
    const value = parse(schema, text)
    if (mistakes.length === before && !Value.Check(schema, value)) {
      const origin = env[name] ? name : `${name} (from ${fileVariableOf(name)})`
      mistakes.push(`${origin} is ${shown(schema, text)}; it must be ${schema.must}.`)
    }
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

function shown (schema: SettingSchema, text: string): string {
  return schema.secret ? `${Buffer.byteLength(text)} bytes that do not fit` : JSON.stringify(text)
}
