import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import errors from '../plugins/errors.ts'
import listener, { listenerOptions, type ArrivalBounds } from '../plugins/listener.ts'
import readiness from '../plugins/readiness.ts'
import validation from '../plugins/validation.ts'
import health from '../routes/health.ts'
import { SignoutError, type AwayError } from './errors.ts'

/**
 * Builds the stand-in that answers 503 while the service cannot start, because Postgres is down. `/health/live` answers 200.
 *
 * @param arrival how long a request may take to arrive; defaults to 30 s
 */
export function buildWaitingApp (log: FastifyBaseLogger, outage: AwayError, { arrival }: { arrival?: ArrivalBounds } = {}): FastifyInstance {
  const app = Fastify({
    ...listenerOptions(arrival),
    loggerInstance: log,
    // Everything is answered at once, so there is nothing to wait for when it makes room for the service.
    forceCloseConnections: true
  })
  app.register(errors)
  app.register(listener)
  // Of what the service has, only its health is there.
  app.after(() => {
    app.addHook('onRequest', async ({ is404 }) => {
      if (is404) throw new SignoutError('service_unavailable', { cause: outage })
    })
  })
  app.register(validation)
  app.register(readiness)
  app.after(() => { app.readiness.add(outage.what, () => Promise.reject(outage)) })
  app.register(health)
  return app as unknown as FastifyInstance
}
