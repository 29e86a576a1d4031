import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { SignoutError } from '../src/errors.ts'
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
  outages.watch('signing_key', () => app.readiness.ask('signing_key'))
  // The blocklist and the clocks report their failures themselves.
  app.readiness.report(({ name, reason }) => {
    const error = reason instanceof SignoutError ? reason.cause ?? reason : reason
    if (name === 'database') outages.failed('postgres', error)
    if (name === 'signing_key') outages.failed('signing_key', error)
  })
  app.addHook('onClose', async () => { outages.stop() })
  app.decorate('outages', outages)
}

export default fp(outages, { name: 'outages', fastify: '5.x', dependencies: ['readiness'] })
