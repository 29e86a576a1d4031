import AjvCompiler from '@fastify/ajv-compiler'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { maxErrorDetails } from '../../src/errors.ts'
import { components } from '../../src/schemas/schemas.ts'
import { findPasswordFlaw, passwordMaxLength } from '../../src/users/credentials.ts'
import { readJsonBodies } from './json-bodies.ts'
import { lazily } from './lazily.ts'
import { buildSerializer } from './serialization.ts'

/**
 * One pool of validators for each minimum length of a new password. A shared pool would mix up their keywords.
 */
const pools = new Map<number, AjvCompiler.BuildCompilerFromPool>()

function poolFor (passwordMinLength: number): AjvCompiler.BuildCompilerFromPool {
  const pool = pools.get(passwordMinLength) ?? AjvCompiler()
  pools.set(passwordMinLength, pool)
  return pool
}

export interface ValidationOptions {
  /** The smallest number of characters in a new password. Defaults to 1. */
  passwordMinLength?: number
}

/**
 * Returns the options of Ajv. Its own coercion stays off: it accepts `-Infinity`, `0x10` and ` 5` as integers, and does
 * not apply the bounds to infinite numbers. Unknown properties are refused, not dropped. All mistakes are found, not
 * only the first.
 */
const ajvOptionsWith = (passwordMinLength: number) => ({
  allErrors: true,
  // An error holds its schema, from which it gets its words.
  verbose: true,
  coerceTypes: false,
  removeAdditional: false,
  keywords: [
    { keyword: 'x-must', schemaType: 'string' },
    // Checked where the request is carried out, in words.
    { keyword: 'x-exactly-one-of', schemaType: 'array' },
    { keyword: 'x-lower-cased', type: 'string', schemaType: 'boolean', modifying: true, validate: lowerCase },
    { keyword: 'x-new-password', type: 'string', schemaType: 'boolean', validate: newPassword(passwordMinLength) }
  ]
} satisfies AjvCompiler.Options)

interface Place {
  parentData: Record<string | number, unknown>
  parentDataProperty: string | number
}

/** Replaces a text by its lower-case form, which is the canonical form of a UUID. */
function lowerCase (_isWanted: boolean, text: string, _schema: unknown, place?: Place): true {
  if (place !== undefined) place.parentData[place.parentDataProperty] = text.toLowerCase()
  return true
}

/**
 * Returns the check of a new password as a keyword, so that its mistake is listed beside those of other properties. An
 * empty or far too long password is a mistake by `minLength` or `maxLength`, and is not checked here.
 */
function newPassword (minLength: number) {
  const validate = Object.assign((_isWanted: boolean, text: string): boolean => {
    const isLookedAt = text !== '' && text.length <= 4 * passwordMaxLength
    const message = isLookedAt ? findPasswordFlaw(text, minLength) : undefined
    validate.errors = message === undefined ? [] : [{ keyword: 'x-new-password', message, params: {} }]
    return message === undefined
  }, { errors: [] as Array<{ keyword: string, message: string, params: object }> })
  return validate
}

interface RoutePart {
  httpPart: string
  schema: { properties?: Record<string, { type?: unknown }> }
}

/**
 * Creates the validators, each when the first request needs it. Bodies are taken as they are. Queries and parameters
 * are text, which is converted.
 */
const buildValidatorWith = (passwordMinLength: number): AjvCompiler.BuildCompilerFromPool => schemas => {
  const ajvOptions = ajvOptionsWith(passwordMinLength)
  const buildCompiler = poolFor(passwordMinLength)
  const compileBody = lazily(() => buildCompiler(schemas, { customOptions: { ...ajvOptions, useDefaults: false } }))
  const compileText = lazily(() => buildCompiler(schemas, { customOptions: { ...ajvOptions, useDefaults: true } }))
  const compile = (route: Parameters<typeof compileBody>[0]) => {
    const { httpPart, schema } = route as RoutePart
    const isText = httpPart !== 'body'
    return lazily(() => {
      const validate = (isText ? compileText : compileBody)(route)
      return (sent: Record<string, unknown>) => {
        if (isText) readText(sent, schema)
        return validate(sent) === true || { error: validate.errors?.slice(0, maxErrorDetails) }
      }
    })
  }
  // Fastify calls a validator, and does not read the properties that Ajv sets on its own.
  return compile as unknown as ReturnType<AjvCompiler.BuildCompilerFromPool>
}

/**
 * Replaces each text by the integer, the boolean or the list that the schema requires, if the text is the plain form of
 * one.
 */
function readText (sent: Record<string, unknown>, { properties = {} }: RoutePart['schema']): void {
  for (const [name, { type }] of Object.entries(properties)) {
    const text = sent[name]
    if (typeof text !== 'string') continue
    if (type === 'integer' && /^\d{1,15}$/.test(text)) sent[name] = Number(text)
    // A parameter that may be repeated, and was sent once.
    if (type === 'array') sent[name] = [text]
    if (type === 'boolean' && /^(true|false)$/.test(text)) sent[name] = text === 'true'
  }
}

async function validation (app: FastifyInstance, { passwordMinLength = 1 }: ValidationOptions): Promise<void> {
  app.setSchemaController({
    compilersFactory: { buildValidator: buildValidatorWith(passwordMinLength), buildSerializer }
  })
  for (const schema of components) app.addSchema(schema)
  readJsonBodies(app)
}

export default fp(validation, { name: 'validation', fastify: '5.x' })
