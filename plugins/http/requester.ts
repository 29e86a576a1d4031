import { compile } from '@fastify/proxy-addr'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { canonicalIp, withoutPort, type Requester } from '../../src/input/requester.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The sender of the request. TRUST_PROXY decides its IP address. */
    readonly requester: Requester
  }
}

export interface RequesterOptions {
  /** Returns the time of a monotonic clock, in milliseconds. Defaults to `performance.now`. */
  now?: () => number
}

/** The shortest time between two log lines about a proxy that sends no addresses, in milliseconds. */
const repeatAfterMs = 60_000
/** The number of characters of such a value that are logged. */
const loggedLength = 100

/**
 * Returns Fastify's `trustProxy` for the addresses and ranges of proxies. A proxy that is listed in `X-Forwarded-For`
 * with a port is trusted like one without.
 */
export function trustProxies (ranges: string[]): (address: string, hop: number) => boolean {
  const isTrusted = compile(ranges)
  return (address, hop) => isTrusted(withoutPort(address), hop)
}

async function requester (app: FastifyInstance, { now = () => performance.now() }: RequesterOptions): Promise<void> {
  let silentUntil = -Infinity

  function warn ({ ip, ips }: FastifyRequest): void {
    if (now() < silentUntil) return
    silentUntil = now() + repeatAfterMs
    app.log.warn({ address: ip.slice(0, loggedLength), source: ips?.at(-2) },
      'X-Forwarded-For holds no IP address. Its clients share one rate limit, and their sessions have no address. Configure the proxy that is the source to send addresses.'
    )
  }

  app.decorateRequest('requester', {
    getter () {
      const ip = canonicalIp(this.ip)
      // A connection that has closed has no address, which is no fault of a proxy.
      if (ip === undefined && this.ip !== undefined) warn(this as FastifyRequest)
      return { ip, userAgent: this.headers['user-agent'], requestId: this.id }
    }
  })
}

export default fp(requester, { name: 'requester', fastify: '5.x' })
