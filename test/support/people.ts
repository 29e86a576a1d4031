import type { FastifyInstance } from 'fastify'
import { fetchFrom, send } from './requests.ts'
import { randomName } from './services.ts'

/** The password of every user, unless a test names another. */
export const password = 'correct horse battery staple'

/** The answer to a login or a refresh. */
export interface Pair {
  access_token: string
  refresh_token: string
  expires_in: number
  refresh_expires_in: number
}

/** A registered user. */
export interface Account {
  id: string
  username: string
}

/** A user who is signed in. */
export interface Person extends Account {
  /** The access token of `pair`. */
  token: string
  pair: Pair
}

/** Registers a user, who has no session yet. Throws if that is refused. */
export async function register (app: FastifyInstance, username = `user-${randomName()}`): Promise<Account> {
  const answer = await send(app, 'POST /register', { body: { username, password } })
  if (answer.statusCode !== 201) throw new Error(`${username} cannot register: ${answer.body}`)
  return { id: answer.json().id, username }
}

/** Registers a user, and signs in. */
export async function signUp (app: FastifyInstance, username?: string): Promise<Person> {
  return await signedIn(app, await register(app, username))
}

/** Registers an administrator, and signs in. */
export async function signUpAdmin (app: FastifyInstance): Promise<Person> {
  const username = `admin-${randomName()}`
  const { id } = await app.accounts.register(username, password, {}, 'admin')
  return await signedIn(app, { id, username })
}

/** Registers a user, and signs in several times. Returns the sessions, oldest first. */
export async function signUpWithSessions (
  app: FastifyInstance, count: number
): Promise<Account & { sessions: Pair[] }> {
  const account = await register(app)
  const sessions: Pair[] = []
  for (let number = 0; number < count; number++) sessions.push(await signIn(app, account.username))
  return { ...account, sessions }
}

async function signedIn (app: FastifyInstance, account: Account): Promise<Person> {
  const pair = await signIn(app, account.username)
  return { ...account, token: pair.access_token, pair }
}

/** Signs in, which opens a session. Throws if that is refused. */
export async function signIn (
  app: FastifyInstance, username: string, options: { password?: string, userAgent?: string } = {}
): Promise<Pair> {
  const answer = await send(app, 'POST /login', {
    body: { username, password: options.password ?? password },
    ...options.userAgent !== undefined && { headers: { 'user-agent': options.userAgent } }
  })
  if (answer.statusCode !== 200) throw new Error(`${username} cannot sign in: ${answer.body}`)
  return answer.json()
}

/** Signs in at a server process, over HTTP. */
export async function signInAt (address: string, username: string): Promise<Pair> {
  const answer = await fetchFrom(address, 'POST /login', { body: { username, password } })
  if (!answer.ok) throw new Error(`${username} cannot sign in: ${await answer.text()}`)
  return await answer.json() as Pair
}

/** Issues an access token without a login, for a given user and session, with the longest lifetime. */
export async function issueToken (
  app: FastifyInstance, { userId, sessionId, scope = 'user' }: { userId: string, sessionId: string, scope?: string }
): Promise<string> {
  const subject = { userId, sessionId, scope, authenticatedAt: new Date() }
  return await app.accessTokens.sign(subject, app.accessTokens.plan(Infinity))
}
