import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { toDatabaseError } from '../../src/db/database-errors.ts'
import { OutageError, SignoutError, type ErrorCode, type RateLimit } from '../../src/errors.ts'
import { findUnavailableCause } from '../../src/monitoring/unavailable.ts'
import { toOAuthBody } from '../../src/oauth/oauth-error.ts'
import { challenge } from '../auth/errors.ts'
import { describeMistakes } from '../validation/mistakes.ts'
import { collectPaths } from './known-paths.ts'
import { protectiveHeaders } from './protective-headers.ts'

const codeByStatus: Record<number, ErrorCode> = {
  400: 'invalid_request',
  404: 'not_found',
  413: 'payload_too_large',
  415: 'unsupported_media_type'
}

/** Sentences for errors of Fastify that the request itself explains too little. */
const descriptions: Record<string, string> = {
  FST_ERR_BAD_URL: 'The address has a % that is followed by no valid code.',
  FST_ERR_MAX_PARAM_LENGTH: 'A part of the address is longer than 100 characters.',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'The body has another length than Content-Length says.'
}

/**
 * Answers every error in one shape: `{error, description}`, and `details` for a request that does not validate. Below
 * `/oauth/` it is that of OAuth: `{error, error_description}`. Is registered before the routes, whose paths and methods
 * it has to know.
 */
async function errors (app: FastifyInstance): Promise<void> {
  const methodsAt = collectPaths(app)
  app.setErrorHandler<FastifyError>(answerError)
  app.setNotFoundHandler((request, reply) => answerNotFound(methodsAt(request.url), request, reply))
}

/**
 * Answers a request that has no route. A path that has other methods answers 405 with `Allow`, and to OPTIONS 204.
 *
 * @param methods those of the routes at its path
 */
function answerNotFound (methods: string[], request: FastifyRequest, reply: FastifyReply): FastifyReply {
  // A route answers like this if it finds nothing, such as that of the files of the documentation.
  if (methods.length === 0 || methods.includes(request.method)) {
    return answerError(new SignoutError('not_found'), request, reply)
  }
  const allowedMethods = [...methods, 'OPTIONS']
  if (request.method === 'OPTIONS') {
    request.server.cors?.addPreflightHeaders(request, reply, allowedMethods)
    return reply.code(204).header('allow', allowedMethods.join(', ')).send()
  }
  return answerError(new SignoutError('method_not_allowed', { allowedMethods }), request, reply)
}

/** Answers an address that Fastify cannot parse. It calls this function and no hooks. */
export function answerFrameworkError (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  request.server.cors?.addHeaders(request, reply)
  return answerError(error, request, reply)
}

/**
 * Sends the answer to an error, and logs the error if it is a fault of the service. The headers follow from the error
 * alone: what a route or `app.authenticate` had set before the failure is replaced or removed.
 */
export function answerError (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = toSignoutError(error)
  if (known.statusCode >= 500) logFailure(known, request)
  setOrRemove(reply, 'retry-after', known.retryAfterSeconds)
  setOrRemove(reply, 'allow', known.allowedMethods?.join(', '))
  // RFC 9110, section 15.5.2: a 401 has a challenge. RFC 6750, section 3.1: the challenge names the missing scope.
  const isChallenge = known.statusCode === 401 || known.code === 'forbidden'
  const isOAuth = isBelowOAuth(request)
  const challenges = isOAuth ? basic : challenge('signout', known)
  setOrRemove(reply, 'www-authenticate', isChallenge ? challenges : undefined)
  if (known.limit !== undefined) reply.headers(rateLimitFields(known.limit, known.retryAfterSeconds))
  // Set here too: for an address that Fastify cannot parse, it calls this function and no hooks.
  reply.headers({ ...protectiveHeaders, 'x-request-id': request.id })
  return reply.code(known.statusCode).send(isOAuth ? toOAuthBody(known) : toBody(known))
}

function toBody ({ code, message, details }: SignoutError): object {
  return { error: code, description: message, ...(details && { details }) }
}

/** RFC 6749, section 5.2: the challenge names a scheme in which clients authenticate. */
const basic = 'Basic realm="signout"'

/** Returns true for a request to an address below `/oauth/`, whose errors have the form of OAuth. */
function isBelowOAuth ({ routeOptions, url }: FastifyRequest): boolean {
  // Fastify decodes an address before it looks for a route.
  return (routeOptions?.url ?? url).startsWith('/oauth/')
}

/**
 * Logs a defect with its stack. A 503 of an outage has no line of its own, because there may be thousands each second.
 */
function logFailure (error: SignoutError, { log, server }: FastifyRequest): void {
  const { code, message } = error
  const cause = findUnavailableCause(error)
  const err = error.cause ?? error
  if (cause === undefined) log.error({ err, code }, message)
  else if (err instanceof OutageError || server.outages?.refused(cause, err)) log.debug({ err, code }, message)
  else log.warn({ reason: err instanceof Error ? err.message : String(err), code }, message)
}

function setOrRemove (reply: FastifyReply, name: string, value: string | number | undefined): void {
  if (value === undefined) reply.removeHeader(name)
  else reply.header(name, value)
}

/**
 * Returns the fields of draft-ietf-httpapi-ratelimit-headers, for a limit that is used up. Other answers do not have
 * them. The rest of a limit would reveal to an attacker how often others have guessed.
 */
function rateLimitFields (
  { name, attempts, windowSeconds }: RateLimit,
  resetSeconds = windowSeconds
): Record<string, string> {
  return {
    'ratelimit-policy': `"${name}";q=${attempts};w=${windowSeconds}`,
    ratelimit: `"${name}";r=0;t=${resetSeconds}`
  }
}

/** Returns the error to answer for anything that was thrown, even for undefined. */
export function toSignoutError (thrown: unknown): SignoutError {
  const error = toDatabaseError(thrown)
  if (error instanceof SignoutError) return error
  const { validation, validationContext, statusCode = 500, ...others } = (error ?? {}) as Partial<FastifyError>
  if (validation !== undefined) {
    return new SignoutError('invalid_request', describeMistakes(validation, validationContext))
  }
  const description = descriptions[others.code ?? '']
  if (description !== undefined) return new SignoutError('invalid_request', { description, cause: error })
  const code = codeByStatus[statusCode]
  if (code !== undefined) return new SignoutError(code, { cause: error })
  return new SignoutError(statusCode > 400 && statusCode < 500 ? 'invalid_request' : 'internal_error', { cause: error })
}

export default fp(errors, { name: 'errors', fastify: '5.x' })
