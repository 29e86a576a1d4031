import { createHash, timingSafeEqual } from 'node:crypto'
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../src/config.ts'
import { SignoutError, explainListenError } from '../src/errors.ts'
import { createMetrics, type Metrics } from '../src/monitoring/metrics.ts'
import { findUnavailableCause } from '../src/monitoring/unavailable.ts'
import { bearerToken, type CredentialRequest } from './auth/authorization.ts'
import errors, { toSignoutError } from './http/errors.ts'
import listenerPlugin, { listenerOptions, type ArrivalBounds } from './http/listener.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** What operators see of the service. Whatever happens that they should see is told to it. */
    metrics: Metrics
    /** Lets whoever has METRICS_TOKEN through to the metrics. Undefined where they are not on the main port. */
    authenticateScrape: ((request: FastifyRequest) => Promise<void>) | undefined
    /**
     * Opens METRICS_PORT and answers its address; undefined where it is not set. It closes with the app. Throws a
     * `StartupError` when the port cannot be had.
     */
    listenForScrapes (): Promise<string | undefined>
  }
}

export interface MetricsOptions {
  config: Pick<Config, 'http' | 'metrics'>
  /** How long a request may take to arrive at METRICS_PORT. */
  arrival?: ArrivalBounds | undefined
}

/** Measures the service, and shows it to those who scrape it: on a port of its own, or with a token, or to nobody. */
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
    const cause = findUnavailableCause(toSignoutError(error))
    if (cause !== undefined) metrics.answeredUnavailable(cause)
    done()
  })
  if (port === undefined && token === undefined) return
  app.addHook('onReady', async () => { metrics.start() })
  app.addHook('onClose', async () => { metrics.stop() })
}

/** Makes the server for METRICS_PORT, which answers `/metrics` and nothing else. */
function createListener (
  log: FastifyBaseLogger, metrics: Metrics, arrival: ArrivalBounds | undefined
): FastifyInstance {
  const listener = Fastify({
    ...listenerOptions(arrival),
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    // Whoever scrapes keeps the connection, which is nothing to wait for.
    forceCloseConnections: true
  })
  listener.register(errors)
  listener.register(listenerPlugin)
  listener.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.scrape()))
  return listener as unknown as FastifyInstance
}

/** Compared by their hashes, which have one length: how long it takes tells nothing. */
function createScrapeCheck (token: string): (request: CredentialRequest) => Promise<void> {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  const expected = hash(token)
  return async function authenticateScrape (request) {
    if (!timingSafeEqual(hash(bearerToken(request)), expected)) throw new SignoutError('invalid_token')
  }
}

export default fp(metrics, { name: 'metrics', fastify: '5.x', dependencies: ['errors'] })
