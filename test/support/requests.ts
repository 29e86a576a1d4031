import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import { findBreach } from './contract.ts'

type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS'

/** A method and a path: `POST /logout?scope=all`. */
export type Route = `${Method} ${string}`

export interface RequestOptions {
  /** An access token, for the Authorization header. */
  token?: string | undefined
  /** An object is sent as JSON, a text as it is. */
  body?: object | string | undefined
  headers?: Record<string, string>
}

/** Sends a request to an app in this process, and resolves to the answer. */
export function send (
  app: FastifyInstance,
  route: Route,
  { token, body, headers, remoteAddress }: RequestOptions & { remoteAddress?: string | undefined } = {}
): Promise<LightMyRequestResponse> {
  const { method, path } = parse(route)
  return app.inject({
    method,
    url: path,
    headers: { ...token !== undefined && bearer(token), ...headers },
    ...body !== undefined && { payload: body },
    ...remoteAddress !== undefined && { remoteAddress }
  })
}

/** Sends a request to a server at an address, over HTTP. Throws if the answer is not as openapi.json says. */
export async function fetchFrom (
  address: string, route: Route, { token, body, headers }: RequestOptions = {}
): Promise<Response> {
  const { method, path } = parse(route)
  const json = typeof body === 'object' ? { 'content-type': 'application/json' } : undefined
  const response = await fetch(address + path, {
    method,
    headers: { ...json, ...token !== undefined && bearer(token), ...headers },
    ...body !== undefined && { body: typeof body === 'object' ? JSON.stringify(body) : body }
  })
  const breach = findBreach({
    method,
    path,
    status: response.status,
    headers: Object.fromEntries(response.headers),
    body: await response.clone().text(),
    isOfCookieClient: new Headers(headers).has('x-signout-csrf')
  })
  if (breach !== undefined) throw new Error(breach)
  return response
}

function parse (route: Route): { method: Method, path: string } {
  const space = route.indexOf(' ')
  return { method: route.slice(0, space) as Method, path: route.slice(space + 1) }
}

/** Sends a GET request. */
export function get (app: FastifyInstance, path: string, token?: string): Promise<LightMyRequestResponse> {
  return send(app, `GET ${path}`, { token })
}

/** Logs out with an access token. */
export function logOut (app: FastifyInstance, token: string): Promise<LightMyRequestResponse> {
  return send(app, 'POST /logout', { token })
}

/** Exchanges a refresh token for a new pair. */
export function refresh (app: FastifyInstance, refreshToken: string): Promise<LightMyRequestResponse> {
  return send(app, 'POST /refresh', { body: { refresh_token: refreshToken } })
}

/** Returns the Authorization header with an access token. */
export function bearer (token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` }
}

/** Returns the status of an answer, with the code of its error if there is one: `200`, or `401 token_revoked`. */
export function outcome ({ statusCode, body }: Pick<LightMyRequestResponse, 'statusCode' | 'body'>): string {
  return statusCode < 400 ? String(statusCode) : `${statusCode} ${(JSON.parse(body) as { error: string }).error}`
}

/** Asserts that an answer has this status, and an error with this code. */
export function expectError (
  t: Test, answer: LightMyRequestResponse, statusCode: number, code: string, name = code
): void {
  t.equal(answer.statusCode, statusCode, `${name}: ${answer.body}`)
  t.equal(answer.json().error, code, name)
}
