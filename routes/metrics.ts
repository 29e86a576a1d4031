import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'

/** For Prometheus, where METRICS_TOKEN says so. What it answers is no JSON, and no client of the API needs it. */
const metrics: FastifyPluginAsyncTypebox = async app => {
  const { authenticateScrape, metrics } = app
  if (authenticateScrape === undefined) return

  app.get('/metrics', { schema: { hide: true }, onRequest: authenticateScrape }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.scrape()))
}

export default metrics
