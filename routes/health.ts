import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { notReady } from '../src/errors.ts'
import { Health, answer, failures } from '../src/schemas/schemas.ts'

const health: FastifyPluginAsyncTypebox = async app => {
  app.get('/health/live', {
    schema: {
      operationId: 'getLiveness',
      summary: 'Check that the process runs',
      description: 'For a restart of a process that hangs. It does not ask Postgres or Redis.',
      tags: ['operations'],
      security: [],
      response: { 200: answer(Health, 'The process runs.'), ...failures() }
    }
  }, async () => ({ status: 'ok' as const }))

  app.get('/health/ready', {
    schema: {
      operationId: 'getReadiness',
      summary: 'Check that requests can be answered',
      description:
        '503 names what is not ready. `blocklist` is `behind` while Redis lacks the newest revocations, for example because it refuses writes. Tokens are then checked against Postgres too, and logouts get 503.',
      tags: ['operations'],
      security: [],
      response: { 200: answer(Health, 'Requests can be answered.'), ...failures('service_unavailable') }
    }
  }, async () => {
    const unready = await app.readiness.findUnready()
    if (unready.length > 0) throw notReady(unready)
    return { status: 'ok' as const, ...app.readiness.remarks }
  })
}

export default health
