import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { signIn, type Pair } from '../support/people.ts'
import { outcome, refresh, send, type Route } from '../support/requests.ts'

/** A device that a user signs in with. It keeps the tokens that it was given, as an app or a browser does. */
export interface Device {
  tokens: Pair
  /** Sends a GET request, and resolves to its outcome. */
  open (path: string): Promise<string>
  send (route: Route, body?: object): Promise<LightMyRequestResponse>
  /** Refreshes, keeps the new tokens, and resolves to the outcome. */
  refresh (): Promise<string>
}

/** Signs in with a user agent, and returns the device. */
export async function signInWith (
  app: FastifyInstance, userAgent: string, username: string, password?: string
): Promise<Device> {
  return deviceWith(app, await signIn(app, username, { userAgent, ...password !== undefined && { password } }))
}

/** Returns a device with these tokens. */
export function deviceWith (app: FastifyInstance, tokens: Pair): Device {
  const device: Device = {
    tokens,
    open: async path => outcome(await device.send(`GET ${path}`)),
    send: (route, body) => send(app, route, { token: device.tokens.access_token, body }),
    async refresh () {
      const answer = await refresh(app, device.tokens.refresh_token)
      if (answer.statusCode === 200) device.tokens = answer.json()
      return outcome(answer)
    }
  }
  return device
}
