import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../../src/config.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined if no other origin may call the service. */
    cors: Cors | undefined
  }
}

/** Lets pages of other origins read the answers (Fetch, section 3.3). */
export interface Cors {
  /** Adds the headers to any answer. Every answer varies by `Origin`. */
  addHeaders (request: FastifyRequest, reply: FastifyReply): void
  /**
   * Adds the headers that a preflight asks for. Returns false if the request is no preflight of a listed origin.
   *
   * @param methods those of the address, as in `Allow`
   */
  addPreflightHeaders (request: FastifyRequest, reply: FastifyReply, methods: string[]): boolean
}

export interface CorsOptions {
  config: Pick<Config, 'browsers'>
}

const exposedHeaders = [
  'Retry-After', 'WWW-Authenticate', 'RateLimit', 'RateLimit-Policy', 'X-Revocation-Check', 'X-Request-Id'
].join(', ')
const allowedHeaders = ['Authorization', 'Content-Type', 'X-Request-Id', 'X-Signout-CSRF'].join(', ')

/** How long browsers keep the answer to a preflight, in seconds. Chromium keeps none longer than this. */
const preflightMaxAge = 7_200

/**
 * Lets pages of CORS_ORIGINS call the service, and read every answer, errors included. Other origins get none of these
 * headers.
 */
async function cors (app: FastifyInstance, { config: { browsers } }: CorsOptions): Promise<void> {
  const { corsOrigins, hasCookies } = browsers
  app.decorate('cors', corsOrigins.length === 0 ? undefined : createCors(new Set(corsOrigins), hasCookies))
  if (app.cors === undefined) return
  const { addHeaders } = app.cors
  app.addHook('onSend', (request, reply, payload, done) => {
    addHeaders(request, reply)
    done(null, payload)
  })
}

function createCors (origins: ReadonlySet<string>, hasCookies: boolean): Cors {
  const isListed = ({ headers: { origin }, url }: FastifyRequest) =>
    origin !== undefined && origins.has(origin) && !isForOperators(url)
  return {
    addHeaders (request, reply) {
      const vary = reply.getHeader('vary')
      reply.header('vary', vary === undefined ? 'Origin' : `${String(vary)}, Origin`)
      if (!isListed(request)) return
      reply.header('access-control-allow-origin', request.headers.origin)
      reply.header('access-control-expose-headers', exposedHeaders)
      if (hasCookies) reply.header('access-control-allow-credentials', 'true')
    },
    addPreflightHeaders (request, reply, methods) {
      const { method, headers } = request
      const isPreflight = method === 'OPTIONS' && headers['access-control-request-method'] !== undefined
      if (!isPreflight || !isListed(request)) return false
      reply.headers({
        'access-control-allow-methods': methods.join(', '),
        'access-control-allow-headers': allowedHeaders,
        'access-control-max-age': preflightMaxAge
      })
      return true
    }
  }
}

/** Returns true for the address of the metrics, which are for Prometheus. */
function isForOperators (url: string): boolean {
  return /^\/metrics(\?|$)/.test(url)
}

export default fp(cors, { name: 'cors', fastify: '5.x' })
