import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { send, type RequestOptions, type Route } from './requests.ts'

/** The name of the cookie, which clients never need. */
export const cookieName = '__Host-signout-refresh'

/** The headers of a cookie client, with a cookie if there is one. */
export const asCookieClient = (refreshToken?: string): Record<string, string> => ({
  'x-signout-csrf': '1',
  ...refreshToken !== undefined && { cookie: `${cookieName}=${refreshToken}` }
})

/** The refresh token that an answer puts into the cookie: '' if it deletes the cookie, undefined if it does nothing. */
export function cookieOf ({ headers }: Pick<LightMyRequestResponse, 'headers'>): string | undefined {
  const [text] = [headers['set-cookie']].flat()
  return text === undefined ? undefined : new RegExp(`^${cookieName}=([^;]*);`).exec(text)?.[1]
}

/** A client in a browser: it keeps the cookie as an answer says, and sends it with each request. */
export interface CookieClient {
  cookie: string | undefined
  send (route: Route, options?: RequestOptions): Promise<LightMyRequestResponse>
}

/** Creates a cookie client, which has no cookie yet. */
export function createCookieClient (app: FastifyInstance): CookieClient {
  const client: CookieClient = {
    cookie: undefined,
    async send (route, { headers, ...options } = {}) {
      const answer = await send(app, route, { ...options, headers: { ...asCookieClient(client.cookie), ...headers } })
      const set = cookieOf(answer)
      if (set !== undefined) client.cookie = set === '' ? undefined : set
      return answer
    }
  }
  return client
}
