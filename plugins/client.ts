import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Client } from '../src/client.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sent the request. TRUST_PROXY decides what its address is. */
    readonly client: Client
  }
}

async function client (app: FastifyInstance): Promise<void> {
  app.decorateRequest('client', {
    getter () { return { ip: this.ip, userAgent: this.headers['user-agent'] } }
  })
}

export default fp(client, { name: 'client', fastify: '5.x' })
