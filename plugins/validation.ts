import { isUtf8 } from 'node:buffer'
import AjvCompiler from '@fastify/ajv-compiler'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { SignoutError } from '../src/errors.ts'
import { components } from '../src/schemas.ts'

const buildCompiler = AjvCompiler()

/**
 * A body is taken as it is: unknown properties are refused, not dropped, and `"1"` is not 1. Parameters and queries
 * are text, so there alone values are converted.
 */
const buildValidator: AjvCompiler.BuildCompilerFromPool = schemas => {
  const strict = buildCompiler(schemas, { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false } })
  const coercing = buildCompiler(schemas, { customOptions: { removeAdditional: false, coerceTypes: 'array' } })
  return route => ((route as AjvCompiler.RouteDefinition).httpPart === 'body' ? strict : coercing)(route)
}

async function validation (app: FastifyInstance): Promise<void> {
  app.setSchemaController({ compilersFactory: { buildValidator } })
  for (const schema of components) app.addSchema(schema)

  // A client that always names a content type may send no body with it, where none is asked for: `curl -d ''` does.
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    if (body.length === 0) done(null, undefined)
    // Decoded leniently, different bodies would become the same, and different passwords equal.
    else if (!isUtf8(body)) done(new SignoutError('invalid_request'))
    else parseJson(request, body.toString(), done)
  })
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') done(null, undefined)
    else done(new SignoutError('unsupported_media_type'))
  })
}

export default fp(validation, { name: 'validation', fastify: '5.x' })
