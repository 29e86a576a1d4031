import { decodeJwt } from 'jose'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import { bearer, openSession, password, refresh, signIn, type Pair } from './people.ts'
import { randomName } from './services.ts'

/** That an answer is this error, with this status. */
export function expectError (
  t: Test, answer: LightMyRequestResponse, statusCode: number, code: string, name = code
): void {
  t.equal(answer.statusCode, statusCode, `${name}: ${answer.body}`)
  t.equal(answer.json().error, code, name)
}

/** A request with a token, or without. */
export function ask (
  app: FastifyInstance, method: NonNullable<InjectOptions['method']>, url: string, token?: string, payload?: object
): Promise<LightMyRequestResponse> {
  return app.inject({
    method, url, headers: token === undefined ? {} : bearer(token), ...(payload !== undefined && { payload })
  })
}

/** Which error the access token of a pair gets, and which one its refresh token: `undefined` for what is accepted. */
export async function refusals (
  app: FastifyInstance, pair: Pair
): Promise<{ access: string | undefined, refresh: string | undefined }> {
  const access = await ask(app, 'GET', '/token', pair.access_token)
  const refreshed = await refresh(app, pair.refresh_token)
  return { access: access.json().error, refresh: refreshed.json().error }
}

/** What both tokens of a session that has ended get. */
export const ended = { access: 'token_revoked', refresh: 'token_revoked' }

/** Whether an access token is accepted. */
export async function isAccepted (app: FastifyInstance, { access_token: token }: Pair): Promise<boolean> {
  const { statusCode } = await ask(app, 'GET', '/token', token)
  if (statusCode !== 200 && statusCode !== 401) throw new Error(`Neither accepted nor refused: ${statusCode}`)
  return statusCode === 200
}

/** The id of the session that a pair belongs to. */
export function sessionIdOf ({ access_token: token }: Pair): string {
  return String(decodeJwt(token)['sid'])
}

/** Somebody with as many open sessions, the first one first. */
export async function withSessions (
  app: FastifyInstance, count: number
): Promise<{ id: string, username: string, sessions: Pair[] }> {
  const username = `user-${randomName()}`
  const { id } = (await ask(app, 'POST', '/register', undefined, { username, password })).json() as { id: string }
  const sessions: Pair[] = []
  for (let number = 0; number < count; number++) sessions.push(await openSession(app, username))
  return { id, username, sessions }
}

/** The one session of somebody new. */
export async function aSession (app: FastifyInstance): Promise<Pair> {
  return await openSession(app, (await withSessions(app, 0)).username)
}

/** An administrator who has signed in. */
export async function signUpAdmin (app: FastifyInstance): Promise<{ id: string, username: string, token: string }> {
  const username = `admin-${randomName()}`
  const { id } = await app.accounts.register(username, password, {}, 'admin')
  return { id, username, token: await signIn(app, username) }
}
