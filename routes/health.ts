import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { notReady } from '../src/errors.ts'
import { Health, answer, failures } from '../src/schemas/schemas.ts'

const health: FastifyPluginAsyncTypebox = async app => {
  app.get('/health/live', {
    schema: {
      operationId: 'getLiveness',
      summary: 'Whether the process runs',
      tags: ['operations'],
      security: [],
      response: { 200: answer(Health, 'It runs.'), ...failures() }
    }
  }, async () => ({ status: 'ok' as const }))

  app.get('/health/ready', {
    schema: {
      operationId: 'getReadiness',
      summary: 'Whether requests can be answered',
      description:
        '503 names what is not ready. `blocklist` is `behind` while Redis lacks the newest revocations, such as when it refuses writes. Tokens are then checked against Postgres as well, and logouts get 503.',
      tags: ['operations'],
      security: [],
      response: { 200: answer(Health, 'They can.'), ...failures('service_unavailable') }
    }
  }, async () => {
    const unready = await app.readiness.findUnready()
    if (unready.length > 0) throw notReady(unready)
    return { status: 'ok' as const, ...app.readiness.remarks }
  })
}

export default health
