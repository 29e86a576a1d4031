import type { FastifyInstance } from 'fastify'

/**
 * Collects the paths of the routes that are registered from now on. Returns a function that returns the methods of the
 * routes at the path of a URL, sorted; none, if the path is unknown. It is for requests that found no route.
 */
export function collectPaths (app: FastifyInstance): (url: string) => string[] {
  const routes = new Set<string>()
  app.addHook('onRoute', ({ url }) => { routes.add(url) })
  let known: Array<{ pattern: RegExp, methods: string[] }> | undefined
  return url => {
    // The routes are asked for their methods: Fastify announces not every one of a path that is also served with a `/`.
    known ??= [...routes].map(route => ({
      pattern: patternOf(route),
      methods: app.supportedMethods.filter(method => app.hasRoute({ method, url: route }))
    }))
    const path = pathOf(url)
    return [...new Set(known.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods))].sort()
  }
}

/** Returns the decoded path of a URL. Encoded slashes stay encoded: they divide no path. */
function pathOf (url: string): string {
  const path = url.split('?', 1)[0] ?? ''
  try {
    return decodeURI(path)
  } catch {
    return path
  }
}

/** Returns a pattern for the path of a route, such as `/users/:id` or `/docs/static/*`. */
function patternOf (route: string): RegExp {
  const source = route
    .replace(/[\\^$.+?()[\]{}|]/g, '\\$&')
    .replace(/:[^/]+/g, '[^/]+')
    .replace(/\*$/, '.*')
  return new RegExp(`^${source}$`, 's')
}
