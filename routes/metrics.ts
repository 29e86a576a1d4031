import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'

/** Serves the metrics on the main port, with METRICS_TOKEN. Hidden from the API: the answer is not JSON. */
const metrics: FastifyPluginAsyncTypebox = async app => {
  const { authenticateScrape, metrics } = app
  if (authenticateScrape === undefined) return

  app.get('/metrics', { schema: { hide: true }, onRequest: authenticateScrape }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.scrape()))
}

export default metrics
