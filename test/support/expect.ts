import { decodeJwt } from 'jose'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import { bearer, openSession, password, refresh, signIn, type Pair } from './people.ts'
import { randomName } from './services.ts'

/** Asserts that an answer is this error, with this status. */
export function expectError (
  t: Test, answer: LightMyRequestResponse, statusCode: number, code: string, name = code
): void {
  t.equal(answer.statusCode, statusCode, `${name}: ${answer.body}`)
  t.equal(answer.json().error, code, name)
}

/** Sends a request, with a token or without. */
export function ask (
  app: FastifyInstance, method: NonNullable<InjectOptions['method']>, url: string, token?: string, payload?: object
): Promise<LightMyRequestResponse> {
  return app.inject({
    method, url, headers: token === undefined ? {} : bearer(token), ...(payload !== undefined && { payload })
  })
}

/**
 * Returns the errors that the access token and the refresh token of a pair get; `undefined` for a token that is
 * accepted.
 */
export async function refusals (
  app: FastifyInstance, pair: Pair
): Promise<{ access: string | undefined, refresh: string | undefined }> {
  const access = await ask(app, 'GET', '/token', pair.access_token)
  const refreshed = await refresh(app, pair.refresh_token)
  return { access: access.json().error, refresh: refreshed.json().error }
}

/** The errors that both tokens of a session get after its end. */
export const ended = { access: 'token_revoked', refresh: 'token_revoked' }

/** Returns true if an access token is accepted. Throws for any answer but 200 and 401. */
export async function isAccepted (app: FastifyInstance, { access_token: token }: Pair): Promise<boolean> {
  const { statusCode } = await ask(app, 'GET', '/token', token)
  if (statusCode !== 200 && statusCode !== 401) throw new Error(`Neither accepted nor refused: ${statusCode}`)
  return statusCode === 200
}

/** Returns the id of the session that a pair belongs to. */
export function sessionIdOf ({ access_token: token }: Pair): string {
  return String(decodeJwt(token)['sid'])
}

/** Registers a user, and opens so many sessions, oldest first. */
export async function withSessions (
  app: FastifyInstance, count: number
): Promise<{ id: string, username: string, sessions: Pair[] }> {
  const username = `user-${randomName()}`
  const { id } = (await ask(app, 'POST', '/register', undefined, { username, password })).json() as { id: string }
  const sessions: Pair[] = []
  for (let number = 0; number < count; number++) sessions.push(await openSession(app, username))
  return { id, username, sessions }
}

/** Registers a user, and opens a session. */
export async function aSession (app: FastifyInstance): Promise<Pair> {
  return await openSession(app, (await withSessions(app, 0)).username)
}

/** Registers an administrator, and signs in. */
export async function signUpAdmin (app: FastifyInstance): Promise<{ id: string, username: string, token: string }> {
  const username = `admin-${randomName()}`
  const { id } = await app.accounts.register(username, password, {}, 'admin')
  return { id, username, token: await signIn(app, username) }
}
