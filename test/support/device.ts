import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import { ask } from './expect.ts'
import { password as usualPassword, refresh, type Pair } from './people.ts'

/** A device that a user signs in with. It keeps the tokens that it was given, as an app or a browser does. */
export interface Device {
  tokens: Pair
  /** Sends a GET request. Returns the status, and the code of the error if there is one. */
  open (url: string): Promise<string>
  send (method: NonNullable<InjectOptions['method']>, url: string, body?: object): Promise<LightMyRequestResponse>
  /** Refreshes, and keeps the new tokens. */
  refresh (): Promise<string>
}

/** Signs in with a user agent, and returns the device. */
export async function signInWith (
  app: FastifyInstance, userAgent: string, username: string, password = usualPassword
): Promise<Device> {
  const answer = await app.inject({
    method: 'POST', url: '/login', headers: { 'user-agent': userAgent }, payload: { username, password }
  })
  if (answer.statusCode !== 200) throw new Error(`${username} cannot sign in: ${answer.body}`)
  return deviceWith(app, answer.json())
}

/** Returns a device with these tokens. */
export function deviceWith (app: FastifyInstance, tokens: Pair): Device {
  const device: Device = {
    tokens,
    open: async url => outcome(await device.send('GET', url)),
    send: (method, url, body) => ask(app, method, url, device.tokens.access_token, body),
    async refresh () {
      const answer = await refresh(app, device.tokens.refresh_token)
      if (answer.statusCode === 200) device.tokens = answer.json()
      return outcome(answer)
    }
  }
  return device
}

/** Returns `200`, or `401 token_revoked`. */
export function outcome ({ statusCode, body }: LightMyRequestResponse): string {
  return statusCode < 400 ? String(statusCode) : `${statusCode} ${(JSON.parse(body) as { error: string }).error}`
}
