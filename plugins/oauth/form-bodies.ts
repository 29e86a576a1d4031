import type { FastifyInstance } from 'fastify'
import { decodeFormText } from '../../src/clients/client-credentials.ts'
import { SignoutError } from '../../src/errors.ts'

/**
 * Lets the routes of a plugin read bodies of application/x-www-form-urlencoded, and no others. A parameter without a
 * value counts as missing, and none may be given twice (RFC 6749, section 3.2). Unknown ones are left alone.
 */
export function readFormBodies (app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, parseForm(body as string))
    } catch (error) {
      done(error as Error)
    }
  })
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') return done(null, {})
    done(new SignoutError('unsupported_media_type', {
      description: 'The request body must be application/x-www-form-urlencoded.'
    }))
  })
  app.addHook('preValidation', (request, _reply, done) => {
    // Without a body, the answer says which parameter is missing.
    request.body ??= {}
    done()
  })
}

function parseForm (text: string): Record<string, string> {
  const form = new Map<string, string>()
  for (const pair of text.split('&')) {
    if (pair === '') continue
    const [name, value] = decodePair(pair)
    if (form.has(name)) throw invalid('A parameter is given more than once.')
    form.set(name, value)
  }
  return Object.fromEntries([...form].filter(([, value]) => value !== ''))
}

function decodePair (pair: string): [name: string, value: string] {
  const equals = pair.indexOf('=')
  const parts = equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)]
  try {
    return parts.map(decodeFormText) as [string, string]
  } catch {
    throw invalid('The body has a % that is followed by no valid code of UTF-8.')
  }
}

const invalid = (description: string) => new SignoutError('invalid_request', { description })
