import { parse } from 'node:querystring'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { SignoutError } from '../src/errors.ts'
import {
  VerifyQuery, actFailures, failures, noContent, toRequirements, toVerifiedHeaders, verifiedHeaders
} from '../src/schemas/schemas.ts'

const querystring = VerifyQuery

/**
 * Forward authentication: a proxy asks before it forwards a request. Some proxies send the method and the body of that
 * request. So every method is accepted, and no body is read.
 */
const verify: FastifyPluginAsyncTypebox = async app => {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _body, done) => { done(null) })

  function answer (request: FastifyRequest, reply: FastifyReply): void {
    app.requireOfToken(request, toRequirements(request.query as Static<typeof VerifyQuery>))
    // Not null, which would be sent as JSON.
    reply.headers(toVerifiedHeaders(request.user)).send()
  }

  app.get('/verify', {
    onRequest: app.authenticate,
    schema: {
      operationId: 'verify',
      summary: 'Check the token of a request that a proxy is about to forward',
      description:
        'For `auth_request` of nginx, `forwardAuth` of Traefik, `forward_auth` of Caddy and `ext_authz` of Envoy. Reads the blocklist, and no database. The headers of the answer name the user.',
      tags: ['proxies'],
      security: [{ bearer: [] }],
      querystring,
      response: {
        200: noContent('The token is accepted, and meets the requirements.', verifiedHeaders),
        ...failures('invalid_request', ...actFailures)
      }
    }
  }, answer)

  const others = app.supportedMethods.filter(method => method !== 'GET' && method !== 'HEAD')
  app.route({
    method: others, url: '/verify', onRequest: app.authenticate, schema: { hide: true, querystring }, handler: answer
  })
  // Envoy appends the path and the query of the client to its prefix. So the options stand before them, in a segment.
  app.all('/verify/*', {
    onRequest: app.authenticate,
    preValidation: async request => { request.query = readOptions(request.url) },
    schema: { hide: true, querystring }
  }, answer)
}

/** Returns the options of a path such as `/verify/scope=a&max_age=300/path/of/the/client`; of `/verify/-/…`, none. */
function readOptions (url: string): NodeJS.Dict<string | string[]> {
  const segment = /^\/verify\/([^/?]+)/.exec(url)?.[1]
  if (segment === undefined) {
    throw new SignoutError('invalid_request', { description: 'The segment after /verify/ must be options, or -.' })
  }
  return segment === '-' ? {} : parse(segment)
}

export default verify
