import type { Socket } from 'node:net'
import { STATUS_CODES } from 'node:http'
import { describeError } from '../src/errors.ts'

const statusByNodeCode: Record<string, number> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408
}

/**
 * Answers what is not HTTP, or never became a whole request, in the shape of every other error. Fastify is not asked
 * in these cases: there is no request yet.
 */
export function answerClientError (error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const statusCode = statusByNodeCode[error.code ?? ''] ?? 400
  const body = JSON.stringify({ error: 'invalid_request', description: describeError('invalid_request').description })
  socket.end([
    `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body
  ].join('\r\n'))
}
