import { createHash, timingSafeEqual } from 'node:crypto'
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../src/config.ts'
import { SignoutError, explainListenError } from '../src/errors.ts'
import { createMetrics, type Metrics } from '../src/monitoring/metrics.ts'
import { bearerToken, type CredentialRequest } from './auth/authorization.ts'
import errors, { toSignoutError } from './http/errors.ts'
import listenerPlugin, { listenerOptions, type ArrivalBounds } from './http/listener.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The metrics of the service. Everything that operators should see is reported here. */
    metrics: Metrics
    /** Authenticates a scrape by METRICS_TOKEN. Undefined if the main port has no metrics. */
    authenticateScrape: ((request: FastifyRequest) => Promise<void>) | undefined
    /**
     * Opens METRICS_PORT, and resolves with its address, or with undefined if it is not set. It closes with the app.
     * Rejects with a `StartupError` if the port cannot be opened.
     */
    listenForScrapes (): Promise<string | undefined>
  }
}

export interface MetricsOptions {
  config: Pick<Config, 'http' | 'metrics'>
  /** The bounds for the arrival of a request at METRICS_PORT. */
  arrival?: ArrivalBounds | undefined
}

/** Measures the service. The metrics are on METRICS_PORT, or on the main port with METRICS_TOKEN, or nowhere. */
async function metrics (app: FastifyInstance, { config, arrival }: MetricsOptions): Promise<void> {
  const { http: { host }, metrics: { port, token } } = config
  const metrics = createMetrics()
  app.decorate('metrics', metrics)
  app.decorate('authenticateScrape', port === undefined && token !== undefined ? createScrapeCheck(token) : undefined)
  let listener: FastifyInstance | undefined
  app.addHook('onClose', async () => { await listener?.close() })
  app.decorate('listenForScrapes', async () => {
    if (port === undefined) return undefined
    listener = createListener(app.log, metrics, arrival)
    try {
      return await listener.listen({ host, port, listenTextResolver: address => `Metrics: ${address}/metrics` })
    } catch (error) {
      throw explainListenError(error, { host, port, portSetting: 'METRICS_PORT' })
    }
  })
  app.addHook('onError', (_request, _reply, error, done) => {
    metrics.answeredError(toSignoutError(error))
    done()
  })
  if (port === undefined && token === undefined) return
  measureAnswers(app, metrics)
  app.addHook('onReady', async () => { metrics.start() })
  app.addHook('onClose', async () => { metrics.stop() })
}

/** Creates the server for METRICS_PORT, which answers `/metrics` and no other address. */
function createListener (
  log: FastifyBaseLogger, metrics: Metrics, arrival: ArrivalBounds | undefined
): FastifyInstance {
  const listener = Fastify({
    ...listenerOptions(arrival),
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    // Prometheus keeps its connection open. Closing does not wait for it.
    forceCloseConnections: true
  })
  listener.register(errors)
  listener.register(listenerPlugin)
  measureAnswers(listener as unknown as FastifyInstance, metrics)
  // After the plugin of errors, which has to know the routes.
  listener.after(() => {
    listener.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.scrape()))
  })
  return listener as unknown as FastifyInstance
}

/** Measures every request that a route, or the handler for unknown addresses, answers. */
function measureAnswers (app: FastifyInstance, { answered }: Metrics): void {
  app.addHook('onResponse', ({ routeOptions, method }, { statusCode, elapsedTime }, done) => {
    answered({ route: routeOptions.url, method, status: statusCode, seconds: elapsedTime / 1000 })
    done()
  })
}

/**
 * Returns the check of METRICS_TOKEN. It compares hashes, which have equal lengths, so that its duration reveals
 * nothing.
 */
function createScrapeCheck (token: string): (request: CredentialRequest) => Promise<void> {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  const expected = hash(token)
  return async function authenticateScrape (request) {
    if (!timingSafeEqual(hash(bearerToken(request)), expected)) throw new SignoutError('invalid_token')
  }
}

export default fp(metrics, { name: 'metrics', fastify: '5.x', dependencies: ['errors'] })
