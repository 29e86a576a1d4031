import Fastify, { type FastifyInstance } from 'fastify'
import type { LoggerOptions } from '../../../src/app.ts'
import type { Test } from 'tap'
import auth, { createMemoryBlocklist, type AuthOptions, type Blocklist } from '../../../plugins/auth/auth.ts'
import { bearer, send } from '../../support/requests.ts'
import { forge, hs256 } from '../../support/tokens.ts'

/** The secret of an app that is not signout. */
export const secret = 'the secret of somebody else\'s app'
export const issuer = 'another-issuer'
export const sign = (payload: object, key = secret) => forge({ alg: 'HS256', typ: 'JWT' }, payload, hs256(key))

export interface BareOptions {
  /** The secret, or a key function. */
  key?: unknown
  verify?: object
  /** Further options of @fastify/jwt. */
  jwt?: Partial<AuthOptions['jwt']>
  blocklist?: Blocklist
  /** Further options of the plugin. */
  options?: Partial<AuthOptions>
  logger?: LoggerOptions
}

export interface BareApp {
  app: FastifyInstance
  /** The user of each request to `/me`. The same object means that the token was not verified again. */
  users: unknown[]
  statusOf (token: string, headers?: object): Promise<number>
}

/** Builds an app with the plugin and nothing else: `/me` authenticates, and `/own` calls `request.jwtVerify`. */
export async function bareApp (t: Test, { key = secret, verify, jwt, blocklist, options, logger }: BareOptions = {}):
Promise<BareApp> {
  const app = Fastify({ ...logger && { logger } }) as unknown as FastifyInstance
  t.teardown(() => app.close())
  await app.register(auth, {
    blocklist: blocklist ?? createMemoryBlocklist({ leewaySeconds: 0, deadlineMs: 5_000 }),
    jwt: { secret: key, verify: { algorithms: ['HS256'], ...verify }, ...jwt } as AuthOptions['jwt'],
    ...options
  })
  const users: unknown[] = []
  app.get('/me', { onRequest: app.authenticate }, async request => {
    users.push(request.user)
    return request.user
  })
  app.get('/own', { onRequest: async request => { await request.jwtVerify() } }, async request => request.user)
  return {
    app,
    users,
    statusOf: async (token, headers) =>
      (await send(app, 'GET /me', { headers: { ...bearer(token), ...headers } })).statusCode
  }
}
