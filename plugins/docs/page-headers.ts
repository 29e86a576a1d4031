import type { FastifyInstance } from 'fastify'

/** A policy by its directives, each with its sources: `{ defaultSrc: ["'none'"] }`. */
export type PagePolicy = Record<string, string[]>

/**
 * Adds the headers of helmet to the answers of all routes that are registered on `app` from now on. They are for pages:
 * on every answer they would cost half as much as the check of a token. A page works over plain HTTP, on any host: the
 * policy never says `upgrade-insecure-requests`, and HSTS_MAX_AGE decides about `Strict-Transport-Security`.
 */
export async function protectPages (app: FastifyInstance, policy: PagePolicy): Promise<void> {
  await app.register(import('@fastify/helmet'), {
    contentSecurityPolicy: { useDefaults: false, directives: policy },
    strictTransportSecurity: false,
    // Over plain HTTP, browsers ignore these two and report an error in their console.
    crossOriginOpenerPolicy: false,
    originAgentCluster: false,
    xFrameOptions: { action: 'deny' }
  })
}
