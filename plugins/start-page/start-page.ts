import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../../src/config.ts'
import { notReady } from '../../src/errors.ts'
import { prefersHtml } from '../../src/input/prefers-html.ts'
import { logoutToTry, type ServiceDescription } from '../../src/schemas/schemas.ts'
import { toHtml } from './html.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Sends what the service is: a page to a browser, and JSON to a program. */
    sendStartPage (accept: string | undefined, reply: FastifyReply): Promise<FastifyReply>
  }
}

export interface StartPageOptions {
  config: Pick<Config, 'http' | 'tokens'>
  version: string
}

/** Describes the service to those who open its address. It does so while it is not ready, too. */
async function startPage (app: FastifyInstance, { config, version }: StartPageOptions): Promise<void> {
  const { http: { hasDocs }, tokens: { issuer } } = config
  const links = {
    ...hasDocs && { docs: '/docs' },
    openapi: '/openapi.json',
    readiness: '/health/ready',
    keys: '/.well-known/jwks.json'
  }
  const steps = logoutToTry(issuer)

  app.decorate('sendStartPage', async (accept, reply) => {
    const unready = await app.readiness.findUnready()
    const isReady = unready.length === 0
    const description: ServiceDescription = {
      name: 'signout',
      version,
      ready: isReady,
      readiness: isReady ? describeRemarks(app) : notReady(unready).message,
      links,
      try_a_logout: steps
    }
    reply.header('vary', 'Accept')
    if (!prefersHtml(accept)) return reply.send(description)
    return reply.type('text/html; charset=utf-8').send(toHtml(description))
  })
}

function describeRemarks ({ readiness: { remarks: { blocklist } } }: FastifyInstance): string {
  return blocklist === 'behind'
    ? 'Requests can be answered, but Redis lacks the newest revocations. Logouts get 503.'
    : 'Requests can be answered.'
}

export default fp(startPage, { name: 'start-page', fastify: '5.x', dependencies: ['readiness'] })
