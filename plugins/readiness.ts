import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { createReadiness, type Readiness } from '../src/monitoring/readiness.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readiness: Readiness
  }
}

/** Collects the parts that must work before the service is ready. Each plugin that opens something adds its part. */
async function readiness (app: FastifyInstance): Promise<void> {
  app.decorate('readiness', createReadiness())
}

export default fp(readiness, { name: 'readiness', fastify: '5.x' })
