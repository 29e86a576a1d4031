import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { randomName } from './services.ts'

export const password = 'correct horse battery staple'

/** A user who has registered and signed in. */
export interface Person {
  id: string
  username: string
  token: string
}

export async function signUp (app: FastifyInstance, username = `user-${randomName()}`): Promise<Person> {
  const registered = await app.inject({ method: 'POST', url: '/register', payload: { username, password } })
  return { id: registered.json().id, username, token: await signIn(app, username) }
}

export async function signIn (app: FastifyInstance, username: string): Promise<string> {
  return (await openSession(app, username)).access_token
}

/** The answer to a login or a refresh. */
export interface Pair {
  access_token: string
  refresh_token: string
  expires_in: number
  refresh_expires_in: number
}

export async function openSession (app: FastifyInstance, username: string): Promise<Pair> {
  const answer = await app.inject({ method: 'POST', url: '/login', payload: { username, password } })
  return answer.json()
}

export function refresh (app: FastifyInstance, refreshToken: string): Promise<LightMyRequestResponse> {
  return app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: refreshToken } })
}

/** Issues an access token without a login, for a given user and session, with the longest lifetime. */
export async function issueToken (
  app: FastifyInstance, { userId, sessionId, scope = 'user' }: { userId: string, sessionId: string, scope?: string }
): Promise<string> {
  return await app.accessTokens.sign({ userId, sessionId, scope }, app.accessTokens.plan(Infinity))
}

export function bearer (token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` }
}

export function get (app: FastifyInstance, url: string, token?: string): Promise<LightMyRequestResponse> {
  return app.inject({ method: 'GET', url, headers: token === undefined ? {} : bearer(token) })
}

export function logOut (app: FastifyInstance, token: string): Promise<LightMyRequestResponse> {
  return app.inject({ method: 'POST', url: '/logout', headers: bearer(token) })
}
