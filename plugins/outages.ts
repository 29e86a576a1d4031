import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { createOutages, type Outages } from '../src/monitoring/outages.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Logs each outage in two lines. Everything that can fail for a while is reported here. */
    outages: Outages
  }
}

/** Logs the beginning and the end of each outage. */
async function outages (app: FastifyInstance): Promise<void> {
  const outages = createOutages(app.log)
  outages.watch('redis', () => app.readiness.ask('blocklist'))
  outages.watch('postgres', () => app.readiness.ask('database'))
  app.addHook('onClose', async () => { outages.stop() })
  app.decorate('outages', outages)
}

export default fp(outages, { name: 'outages', fastify: '5.x', dependencies: ['readiness'] })
