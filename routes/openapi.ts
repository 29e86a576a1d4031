import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'

const openapi: FastifyPluginAsyncTypebox = async app => {
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
  app.get('/openapi-3.0.json', { schema: { hide: true } }, async () => app.openapi30())
}

export default openapi
