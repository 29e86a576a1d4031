import type { Server } from 'node:http'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { SignoutError } from '../../src/errors.ts'
import { isRepeated } from '../auth/authorization.ts'
import { answerClientError, answerConnect, answerExpectation } from './client-errors.ts'
import { answerFrameworkError } from './errors.ts'
import { protectiveFields } from './protective-headers.ts'

/** The bounds for the arrival of a request. */
export interface ArrivalBounds {
  /** From the first byte of a request to its last, in milliseconds. The headers must arrive within the same time. */
  withinMs: number
  /** The pause between two checks for requests that are late, in milliseconds. */
  checkEveryMs: number
}

/** The largest request body, in bytes: far more than the longest password needs. */
const bodyLimit = 65_536

const defaultBounds: ArrivalBounds = { withinMs: 30_000, checkEveryMs: 5_000 }

/**
 * Returns the Fastify options that every listener of the service shares: the port for clients, METRICS_PORT, and the
 * stand-in while Postgres is down. The plugin below belongs to them.
 */
export function listenerOptions ({ withinMs, checkEveryMs }: ArrivalBounds = defaultBounds) {
  return {
    bodyLimit,
    // Node swaps the two bounds when the one for the headers is larger, so both are set. Fastify sets the one for the
    // whole request again, after the server was made.
    requestTimeout: withinMs,
    http: {
      requestTimeout: withinMs,
      headersTimeout: withinMs,
      connectionsCheckingInterval: checkEveryMs,
      // Node would answer 400 with an empty body. The plugin below answers instead.
      requireHostHeader: false
    },
    // A request that arrives on an open connection while the listener closes is answered like any other.
    return503OnClosing: false,
    frameworkErrors: answerFrameworkError,
    clientErrorHandler: answerClientError
  }
}

export interface ListenerOptions {
  /** How long browsers use only HTTPS for this host, in seconds (RFC 6797). Defaults to 0: no such rule. */
  hstsMaxAgeSeconds?: number
}

/** Makes every listener answer alike: errors are JSON, and every answer has the protective headers. */
async function listener (app: FastifyInstance, { hstsMaxAgeSeconds = 0 }: ListenerOptions): Promise<void> {
  const hsts: [string, string] = ['strict-transport-security', `max-age=${hstsMaxAgeSeconds}`]
  const fields = hstsMaxAgeSeconds === 0 ? protectiveFields : [...protectiveFields, hsts]
  answerInsteadOfNode(app.server)
  app.addHook('onListen', done => {
    for (const server of furtherServers(app)) {
      // Fastify forwards `upgrade` to a server on which nothing listens for it, and the socket would have no owner.
      server.removeAllListeners('upgrade').on('clientError', answerClientError)
      answerInsteadOfNode(server)
    }
    done()
  })
  app.addHook('onRequest', ({ raw, raw: { headers, httpVersion } }, _reply, done) => {
    // RFC 9112, section 3.2.
    const isWrong = (headers.host === undefined && httpVersion === '1.1') || isRepeated({ raw }, 'host')
    done(
      isWrong
        ? new SignoutError('invalid_request', { description: 'An HTTP/1.1 request must have one Host header.' })
        : undefined
    )
  })
  app.addHook('onSend', (request, reply, payload, done) => {
    reply.header('x-request-id', request.id)
    for (const [name, value] of fields) if (!reply.hasHeader(name)) reply.header(name, value)
    done(null, payload)
  })
}

function answerInsteadOfNode (server: Server): void {
  server.on('checkExpectation', answerExpectation).on('connect', answerConnect)
}

/**
 * Returns the servers that Fastify has made beside `app.server`: with HOST=localhost it listens on each loopback
 * address, and sets no handlers on the further ones. It has no public name for them.
 */
function furtherServers (app: FastifyInstance): Server[] {
  const symbol = Object.getOwnPropertySymbols(app).find(({ description }) => description === 'fastify.serverBindings')
  return symbol === undefined ? [] : (app as unknown as Record<symbol, Server[]>)[symbol] ?? []
}

export default fp(listener, { name: 'listener', fastify: '5.x' })
