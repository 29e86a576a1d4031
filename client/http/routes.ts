import type { paths } from '../openapi.d.ts'

type Method = 'get' | 'post' | 'put' | 'delete'

/** The operation of a route: its parameters, its body and its answers. */
type Operation<R extends Route> = R extends `${infer M} ${infer P extends keyof paths & string}`
  ? paths[P][Lowercase<M> & keyof paths[P]]
  : never

/** Every route of the service, as a method and a path: `GET /me/sessions`. */
export type AnyRoute = {
  [P in keyof paths & string]: {
    [M in Method]: paths[P][M] extends { responses: unknown } ? `${Uppercase<M>} ${P}` : never
  }[Method]
}[keyof paths & string]

/** The routes that change the pair of tokens. The client has a method for each. */
type OwnRoute =
  'POST /login' | 'POST /refresh' | 'POST /logout' | 'POST /reauthenticate' | 'PUT /me/password' | 'DELETE /me'

/** The routes for other programs: OAuth, whose bodies are forms, and proxies. */
type RouteOfOthers = `${string} /oauth/${string}` | `${string} /verify`

/** The routes that `request` takes: `GET /me/sessions`. The routes that change the pair have methods of their own. */
export type Route = Exclude<AnyRoute, OwnRoute | RouteOfOthers>

type Json<T> = T extends { content: { 'application/json': infer Content } } ? Content : undefined

/** The body of the answer 200 or 201 of a route; `undefined` for a route that answers 204. */
export type Answer<R extends Route> = Operation<R> extends { responses: infer Responses }
  ? Json<Responses[keyof Responses & (200 | 201 | 204)]>
  : never

/** The body that a route takes; `never` if it takes none. */
export type Body<R extends Route> = Operation<R> extends { requestBody?: infer Content }
  ? Json<NonNullable<Content>> extends undefined ? never : Json<NonNullable<Content>>
  : never

type ParametersIn<R extends Route, Place extends string> = Operation<R> extends { parameters: infer Places }
  ? Place extends keyof Places ? NonNullable<Places[Place]> : never
  : never

/** A part of a request that must be there if the route has it. */
type Needed<Name extends string, T> = [T] extends [never] ? { [N in Name]?: never } : { [N in Name]: T }
/** A part of a request that may be there if the route has it. */
type Possible<Name extends string, T> = [T] extends [never] ? { [N in Name]?: never } : { [N in Name]?: T }

/** The path parameters, the query and the body of a route. */
export type RouteOptions<R extends Route> =
  Needed<'path', ParametersIn<R, 'path'>> & Possible<'query', ParametersIn<R, 'query'>> & Needed<'body', Body<R>>

/** A request to the service, before it has an address and a token. */
export interface Call {
  route: string
  path?: Record<string, unknown> | undefined
  query?: Record<string, unknown> | undefined
  body?: unknown
}

/** The routes that are requested without a token: those without `security` in the document. */
const isPublicRoute = /^(POST \/(register|login)|GET \/(health\/.*|\.well-known\/.*)?)$/

/** Returns true for a route that needs no access token. */
export const isPublic = (route: string): boolean => isPublicRoute.test(route)

/**
 * Returns true for a request that may be sent twice. RFC 9110 says so of these methods, and the service of the routes.
 *
 * @example
 * isRepeatable('POST /register') // false: the second one would be refused, as the name is taken
 */
export const isRepeatable = (route: string): boolean =>
  /^(GET|HEAD|OPTIONS|PUT|DELETE|POST \/(refresh|logout|reauthenticate)$)\b/i.test(route)

/** Returns the method and the address of a request. */
export function addressOf (baseUrl: string, { route, path = {}, query = {} }: Call): { method: string, url: string } {
  const [method = '', template = ''] = route.split(' ')
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(path[name])))
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
  return { method, url: baseUrl.replace(/\/+$/, '') + filled + (pairs.length > 0 ? `?${pairs.join('&')}` : '') }
}
