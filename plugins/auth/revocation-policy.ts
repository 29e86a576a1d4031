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

/**
 * Returns true if the route of this request accepts tokens that may have been revoked while the blocklist is
 * unreachable.
 */
export function allowsUnchecked (request: FastifyRequest): boolean {
  // Only the exact word counts: the policy of a route that was registered before this plugin was not checked.
  return request.routeOptions.config?.onRevocationUnavailable === 'allow'
}

/** Says in a header that the claims of the request were not checked against the blocklist. */
export function markUnchecked (reply: FastifyReply): void {
  reply.header('x-revocation-check', 'unavailable')
}
