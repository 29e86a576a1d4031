import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { randomName } from './services.ts'

export const password = 'correct horse battery staple'

/** Someone who has registered and signed in. */
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
  const answer = await app.inject({ method: 'POST', url: '/login', payload: { username, password } })
  return answer.json().access_token
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
