import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { answerClientError } from '../plugins/client-errors.ts'
import errors, { answerError } from '../plugins/errors.ts'
import readiness from '../plugins/readiness.ts'
import validation from '../plugins/validation.ts'
import health from '../routes/health.ts'
import { SignoutError, type AwayError } from './errors.ts'

/** What answers in place of the service while something is away that it cannot start without: that it cannot answer now. */
export function buildWaitingApp (log: FastifyBaseLogger, outage: AwayError): FastifyInstance {
  const app = Fastify({
    loggerInstance: log,
    // Everything is answered at once, so there is nothing to wait for when it makes room for the service.
    forceCloseConnections: true,
    frameworkErrors: answerError,
    clientErrorHandler: answerClientError
  })
  // Of what the service has, only its health is there.
  app.addHook('onRequest', async ({ is404 }) => {
    if (is404) throw new SignoutError('service_unavailable', { cause: outage })
  })
  app.register(errors)
  app.register(validation)
  app.register(readiness)
  app.after(() => { app.readiness.add(outage.what, () => Promise.reject(outage)) })
  app.register(health)
  return app as unknown as FastifyInstance
}
