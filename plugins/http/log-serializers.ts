import { DrizzleQueryError } from 'drizzle-orm/errors'
import type { FastifyRequest } from 'fastify'
import { canonicalIp } from '../../src/input/requester.ts'
import { parseUuid } from '../../src/input/uuid.ts'

export type SerializedError = {
  type: string
  message: string
  code?: string
  cause?: SerializedError
  stack: string
}

/**
 * Returns the logged form of an error: type, message and stack, without properties that a library added. Errors of
 * ioredis carry the command with its arguments, such as the password of AUTH. Messages of drizzle carry the parameters
 * of the query.
 */
export function serializeError (error: unknown): SerializedError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error), stack: '' }
  if (error instanceof DrizzleQueryError) return serializeError(error.cause)
  const { name, message, stack } = error
  const code = (error as { code?: unknown }).code
  return {
    type: name,
    message,
    ...(typeof code === 'string' && { code }),
    ...(error.cause !== undefined && { cause: serializeError(error.cause) }),
    stack: stack ?? ''
  }
}

/** Returns the logged form of a request. It has no headers and no query, because clients put tokens in both. */
export function serializeRequest (request: FastifyRequest) {
  return {
    method: request.method,
    url: loggedPath(request.url),
    host: request.host,
    remoteAddress: canonicalIp(request.ip) ?? request.ip,
    remotePort: request.socket.remotePort ?? 0
  }
}

/** Shorter than any token, METRICS_TOKEN included, and long enough for any segment of our routes. */
const shortSegment = /^[\w.~-]{0,15}$/

/** An address without a query, of short segments alone. Most are, and this is found out faster than their parts. */
const shortPath = /^(?:\/[\w.~-]{0,15})+$/

/** Returns the path of an address. A segment that could be a token is hidden. */
export function loggedPath (url: string): string {
  if (shortPath.test(url)) return url
  const [path = ''] = url.split(/[?#]/, 1)
  return path
    .split('/')
    .map(segment => (shortSegment.test(segment) || parseUuid(segment) !== undefined ? segment : '[hidden]'))
    .join('/')
}
