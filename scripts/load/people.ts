import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { LoadError } from './failure.ts'
import type { Exchange, Request } from './http-client.ts'
import type { Operation } from './profiles.ts'
import type { Target } from './targets.ts'

/** Passwords are hashed slowly on purpose. This many at once keep a few cores busy, and fill no queue of a server. */
const atOnce = 8
/** The largest number of tries of a request that gets 503 or times out, and the pause between them. */
const maxTries = 20
const pauseMs = 500
/**
 * Returns the longest time to create, sign in or delete this many users. A second for each is a hundred times what it
 * takes.
 */
const boundMs = (count: number) => 60_000 + 1_000 * count

/** A user who was created for the load. */
export interface Person {
  readonly username: string
  readonly password: string
  /** True if a target may have the user. That is so even after a /register without an answer. */
  mayExist: boolean
  sessions: Session[]
  /** A logout that was not answered 200. The session may or may not have ended, so it is tried again. */
  unfinished?: { operation: Operation & ('logout' | 'logout-everywhere'), session: Session } | undefined
}

export interface AccessToken {
  token: string
  /** The instant from which it may be refused as expired, by `performance.now()`. */
  expiresAt: number
}

export interface Session {
  /** The latest one, and the one before, which is valid until it expires. */
  accessTokens: [AccessToken, ...AccessToken[]]
  refreshToken: string
  /** The instant at which the access token must be refreshed, by `performance.now()`. */
  refreshAt: number
}

export interface PeopleOptions {
  targets: Target[]
  onProgress: (done: number) => void
  signal: AbortSignal
}

/** Returns this many users, whom no target has yet. */
export function inventPeople (count: number): Person[] {
  const run = randomBytes(4).toString('hex')
  return Array.from({ length: count }, (_, index) => ({
    username: `load-${run}-${index}`,
    // Longer than any minimum that can be set.
    password: randomBytes(64).toString('hex'),
    mayExist: false,
    sessions: []
  }))
}

/** Registers all users. Rejects with a `LoadError` that says what is wrong, and the cure. */
export async function signUpPeople (people: Person[], { targets, onProgress, signal }: PeopleOptions): Promise<void> {
  await inTurns(people, boundMs(people.length), signal, onProgress, async (person, index) => {
    const { username, password } = person
    person.mayExist = true
    await insist(
      targets, index, { method: 'POST', path: '/register', body: { username, password } }, 201, signal
    ).catch((error: unknown) => {
      if (error instanceof Refusal && error.isCertain) person.mayExist = false
      throw error
    })
  })
}

/** Signs each user in on a number of devices. */
export async function signInPeople (
  people: Person[], devices: number, { targets, onProgress, signal }: PeopleOptions
): Promise<void> {
  await inTurns(people, boundMs(people.length * devices), signal, onProgress, async (person, index) => {
    while (person.sessions.length < devices && !signal.aborted) {
      const { username, password } = person
      const { body } = await insist(
        targets, index, { method: 'POST', path: '/login', body: { username, password } }, 200, signal
      )
      person.sessions.push(openedSession(body))
    }
  })
}

/**
 * Rejects with a `LoadError` unless all targets are replicas of one deployment: each must accept a token of another.
 */
export async function makeSureTheyAgree (targets: Target[], person: Person): Promise<void> {
  const [session] = person.sessions
  if (session === undefined) return
  for (const { name, load } of targets) {
    const { status, failure, error } = await load.send({
      method: 'GET', path: '/token', token: session.accessTokens[0].token
    })
    if (status !== 200) {
      throw new LoadError(
        `${name} answered ${status ?? failure}${error === undefined ? '' : ` ${error}`} to a token that another target has issued. All targets must be replicas of one deployment, with one database, one Redis and one ISSUER.`
      )
    }
  }
}

/** Deletes the accounts. Resolves with the number of those that are left, or may be, after a failure. */
export async function deletePeople (people: Person[], { targets, onProgress, signal }: PeopleOptions): Promise<number> {
  let left = people.length
  await inTurns(people, boundMs(people.length), signal, onProgress, async ({ username, password }, index) => {
    const login = await insist(
      targets, index, { method: 'POST', path: '/login', body: { username, password } }, 200, signal
    ).catch((error: unknown) => {
      if (!(error instanceof Refusal && error.error === 'invalid_credentials')) throw error
    })
    // After a /register without an answer, the user may not exist.
    if (login !== undefined) {
      await insist(
        targets,
        index,
        { method: 'DELETE', path: '/me', token: openedSession(login.body).accessTokens[0].token, body: { password } },
        204,
        signal
      )
    }
    left--
  }).catch((error: unknown) => { if (!(error instanceof LoadError)) throw error })
  return left
}

/** Returns the session of an answer to a login or a refresh. */
export function openedSession (body: string, previous?: Session): Session {
  const {
    access_token: accessToken, refresh_token: refreshToken, expires_in: expiresInSeconds
  } = JSON.parse(body) as Record<string, unknown>
  const now = performance.now()
  return {
    // Tokens are issued at whole seconds, so one may expire up to a second earlier.
    accessTokens: [
      { token: String(accessToken), expiresAt: now + 1_000 * (Number(expiresInSeconds) - 1) },
      ...previous?.accessTokens.slice(0, 1) ?? []
    ],
    refreshToken: String(refreshToken),
    // Before it expires, as clients do that read `expires_in`.
    refreshAt: now + 800 * Number(expiresInSeconds)
  }
}

/** Does the work for each user, a few at a time. Rejects with a `LoadError` after `withinMs` milliseconds. */
async function inTurns (
  people: Person[],
  withinMs: number,
  signal: AbortSignal,
  onProgress: (done: number) => void,
  work: (person: Person, index: number) => Promise<void>
): Promise<void> {
  const giveUpAt = performance.now() + withinMs
  let next = 0
  let done = 0
  await Promise.all(
    Array.from({ length: Math.min(atOnce, people.length) }, async () => {
      for (let index = next++; index < people.length && !signal.aborted; index = next++) {
        if (performance.now() > giveUpAt) {
          throw new LoadError(
            `Only ${done} of ${people.length} users were done after ${Math.round(withinMs / 1000)} seconds. Use fewer --users, or a faster target.`
          )
        }
        await work(people[index] as Person, index).catch(error => {
          next = people.length
          throw error
        })
        onProgress(++done)
      }
    })
  )
}

/** Sends a request until it is answered with the expected status. Rejects with a {@link Refusal} otherwise. */
async function insist (
  targets: Target[], turn: number, request: Request, expected: number, signal: AbortSignal
): Promise<Exchange> {
  const target = targets[turn % targets.length] as Target
  let isCertain = true
  for (let attempt = 1; ; attempt++) {
    const exchange = await target.load.send(request)
    if (exchange.status === expected) return exchange
    isCertain &&= exchange.askedAt === undefined || (exchange.status !== undefined && exchange.status < 500)
    // An earlier try was executed, but its answer came too late.
    if (attempt > 1 && request.path === '/register' && exchange.error === 'username_taken') return exchange
    if ((exchange.status !== 503 && exchange.failure !== 'timeout') || attempt === maxTries || signal.aborted) {
      throw new Refusal(explain(target, request, exchange), exchange.error, isCertain)
    }
    await sleep(pauseMs)
  }
}

class Refusal extends LoadError {
  /** The `error` of the answer. */
  readonly error: string | undefined
  /** True if the request certainly had no effect: every try was answered or not sent, and no answer was a 5xx. */
  readonly isCertain: boolean

  constructor (message: string, error: string | undefined, isCertain: boolean) {
    super(message)
    this.error = error
    this.isCertain = isCertain
  }
}

function explain ({ name }: Target, { method, path }: Request, { status, failure, error, body }: Exchange): string {
  if (status === 429) return limited(name, `${method} ${path}`)
  return `${name} answered ${method} ${path} with ${status ?? failure}${error === undefined ? '' : ` ${error}`}: ` +
    `${body.slice(0, 300)}`
}

/** Returns a sentence that says why a target answers 429, and the cure. */
export function limited (name: string, request: string): string {
  return `${name} answers ${request} with 429, since its limits on guessing passwords are on: start it with ` +
    'RATE_LIMITS=off, on a closed network only.'
}
