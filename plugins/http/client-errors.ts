import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { describeError } from '../../src/errors.ts'
import { protectiveHeaders } from './protective-headers.ts'

const statusByNodeCode: Record<string, number> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408
}

/** The longest time that a client may keep its side of the connection open after the answer, in milliseconds. */
const lingerMs = 1_000

/**
 * Answers bytes that are not HTTP, and requests that never arrived whole, in the shape of every other error. Node calls
 * this instead of Fastify, because there is no request yet. Closes the connection after the answer.
 */
export function answerClientError (error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const statusCode = statusByNodeCode[error.code ?? ''] ?? 400
  const { headers, body } = malformed(describeError('invalid_request').description)
  socket.end([
    `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    '',
    body
  ].join('\r\n'))
  const timer = setTimeout(() => { socket.destroy() }, lingerMs).unref()
  socket.once('close', () => { clearTimeout(timer) })
}

/**
 * Answers a CONNECT request with 400. Node hands its socket over without a listener for errors, so a connection that
 * the client resets would end the process.
 */
export function answerConnect (_request: IncomingMessage, socket: Duplex): void {
  socket.on('error', () => { socket.destroy() })
  answerClientError(new Error('CONNECT is for proxies.'), socket)
}

/**
 * Answers 417 to a request whose `Expect` header has any other value than `100-continue`. Node calls this instead of
 * Fastify. The connection ends, because the client may or may not send the body that it announced.
 */
export function answerExpectation (_request: IncomingMessage, response: ServerResponse): void {
  const { headers, body } = malformed('The Expect header can only be 100-continue.')
  response.writeHead(417, headers).end(body)
}

function malformed (description: string): { headers: Record<string, string | number>, body: string } {
  const body = JSON.stringify({ error: 'invalid_request', description })
  return {
    headers: {
      ...protectiveHeaders,
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
      connection: 'close'
    },
    body
  }
}
