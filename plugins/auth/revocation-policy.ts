import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

const policies: unknown[] = [undefined, 'allow', 'refuse']

/**
 * Throws for a route whose policy is not valid. Adds the policy of each route to its schema, from which
 * @fastify/swagger puts it into the OpenAPI document.
 */
export function declarePolicies (app: FastifyInstance): void {
  app.addHook('onRoute', route => {
    const policy = route.config?.onRevocationUnavailable
    if (!policies.includes(policy)) {
      throw new TypeError(
        `The route ${String(route.method)} ${route.url} has the config onRevocationUnavailable: ${JSON.stringify(policy)}. It must be 'allow' or 'refuse'.`
      )
    }
    if (policy !== undefined) {
      route.schema = Object.assign({ ...route.schema }, { 'x-on-revocation-unavailable': policy })
    }
  })
}

/** Whether the route of this request would rather accept a revoked token than be unavailable. */
export function allowsUnchecked (request: FastifyRequest): boolean {
  // Nothing but the word itself: a route that was registered before this plugin was not looked at.
  return request.routeOptions.config?.onRevocationUnavailable === 'allow'
}

/** Lets the request go on with claims that the blocklist could not be asked about, and has its answer say so. */
export function goOnUnchecked (request: FastifyRequest, reply: FastifyReply, claims: object): void {
  request.user = claims as FastifyRequest['user']
  reply.header('x-revocation-check', 'unavailable')
}
