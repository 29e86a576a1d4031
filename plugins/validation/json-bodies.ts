import { isAscii, isUtf8 } from 'node:buffer'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { SignoutError } from '../../src/errors.ts'
import { findJsonMistake, placeOf } from '../../src/input/json-mistake.ts'

/**
 * Lets an app read bodies: JSON in UTF-8, or none. The error of a body that cannot be read says why, and never repeats
 * the body, which may hold a password. For an address without a route the body does not matter.
 */
export function readJsonBodies (app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    const refuse = (error: SignoutError) => { done(request.is404 ? null : error) }
    // A client that always names a content type may send an empty body, as `curl -d ''` does.
    if (body.length === 0) return done(null, undefined)
    // A lenient decoder would make different bodies the same, and different passwords equal.
    if (!isUtf8(body)) return refuse(invalid('The body is not valid UTF-8. Send JSON in UTF-8.'))
    if (isInOtherCharset(request, body)) return refuse(otherCharset())
    const text = body.toString()
    parseJson(request, text, (error, value) => {
      if (error === null) done(null, value)
      else refuse(invalid(describeMistake(text)))
    })
  })
  app.addContentTypeParser('*', { parseAs: 'string' }, (request, body, done) => {
    if (body === '' || request.is404) done(null, undefined)
    else done(new SignoutError('unsupported_media_type'))
  })
}

const invalid = (description: string) => new SignoutError('invalid_request', { description })
const otherCharset = () => new SignoutError('unsupported_media_type', {
  description: 'The Content-Type names another charset than UTF-8. Send JSON in UTF-8.'
})

/** Returns true if the charset that a request names gives its body another meaning than UTF-8 does. */
function isInOtherCharset ({ headers }: FastifyRequest, body: Buffer): boolean {
  const type = headers['content-type']
  if (type === undefined || type === 'application/json') return false
  const charset = /;\s*charset\s*=\s*"?([^\s;"]*)/i.exec(type)?.[1]
  return charset !== undefined && !/^utf-?8$/i.test(charset) && !isAscii(body)
}

/** Returns why a text was not read as JSON, with the place. */
function describeMistake (text: string): string {
  // A byte order mark is allowed. It is no character that an editor shows.
  const json = text.startsWith('\uFEFF') ? text.slice(1) : text
  const index = findJsonMistake(json)
  if (index === undefined) {
    return 'The body has a property __proto__, or a constructor with a prototype. Remove it.'
  }
  const { line, column } = placeOf(json, index)
  const mistake = index === json.length ? 'it ends too early' : 'the mistake is'
  return `The body is not valid JSON: ${mistake} at line ${line}, column ${column}.`
}
