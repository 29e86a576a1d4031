import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { LoadError } from './failure.ts'
import type { Exchange, Request } from './http-client.ts'
import type { Operation } from './profiles.ts'
import type { Target } from './targets.ts'

/** Passwords are hashed slowly on purpose. As many at once keep a few cores busy, and no server's queue full. */
const atOnce = 8
/** How often something is tried that is answered 503, and the pause in between. */
const maxTries = 20
const pauseMs = 500
/**
 * How long it may take to make, sign in or delete as many users: a second for each, which is a hundred times what it
 * takes.
 */
const boundMs = (count: number) => 60_000 + 1_000 * count

/** Somebody who was made for the load. */
export interface Person {
  readonly username: string
  readonly password: string
  /** Whether a target may know of them. Where a /register was not answered, it may. */
  mayExist: boolean
  sessions: Session[]
  /** A logout that was not answered 200. Nothing may be concluded from that, so it is tried again. */
  unfinished?: { operation: Operation & ('logout' | 'logout-everywhere'), session: Session } | undefined
}

export interface AccessToken {
  token: string
  /** When it may begin to be refused as expired, as `performance.now()` has it. */
  expiresAt: number
}

export interface Session {
  /** The latest, and the one before, which is good until it expires. */
  accessTokens: [AccessToken, ...AccessToken[]]
  refreshToken: string
  /** When the access token has to be refreshed, as `performance.now()` has it. */
  refreshAt: number
}

export interface PeopleOptions {
  targets: Target[]
  onProgress: (done: number) => void
  signal: AbortSignal
}

/** As many users, of whom no target knows as yet. */
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

/** Signs up everybody. Rejects with a `LoadError` that says what is wrong, and the cure. */
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

/** Signs everybody in on a number of devices. */
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

/** Whether all targets are replicas of one deployment: each accepts what another has issued. */
export async function makeSureTheyAgree (targets: Target[], person: Person): Promise<void> {
  const [session] = person.sessions
  if (session === undefined) return
  for (const { name, load } of targets) {
    const { status, failure, error } = await load.send({
      method: 'GET', path: '/token', token: session.accessTokens[0].token
    })
    if (status !== 200) {
      throw new LoadError(
        `${name} answered ${status ?? failure}${error === undefined ? '' : ` ${error}`} to a token that another target has issued: all targets must be replicas of one deployment, with one database, one Redis and one ISSUER.`
      )
    }
  }
}

/** Deletes the accounts. Answers how many are left, or may be, where something is in the way. */
export async function deletePeople (people: Person[], { targets, onProgress, signal }: PeopleOptions): Promise<number> {
  let left = people.length
  await inTurns(people, boundMs(people.length), signal, onProgress, async ({ username, password }, index) => {
    const login = await insist(
      targets, index, { method: 'POST', path: '/login', body: { username, password } }, 200, signal
    ).catch((error: unknown) => {
      if (!(error instanceof Refusal && error.error === 'invalid_credentials')) throw error
    })
    // Nobody is there of that name, where a /register was not answered.
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

/** What a login or a refresh was answered with. */
export function openedSession (body: string, previous?: Session): Session {
  const {
    access_token: accessToken, refresh_token: refreshToken, expires_in: expiresInSeconds
  } = JSON.parse(body) as Record<string, unknown>
  const now = performance.now()
  return {
    // Tokens are issued at whole seconds, so it may expire by one earlier.
    accessTokens: [
      { token: String(accessToken), expiresAt: now + 1_000 * (Number(expiresInSeconds) - 1) },
      ...previous?.accessTokens.slice(0, 1) ?? []
    ],
    refreshToken: String(refreshToken),
    // Before it expires, as clients do that look at `expires_in`.
    refreshAt: now + 800 * Number(expiresInSeconds)
  }
}

/** Does the work for each person, a few at a time, within a bound. */
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
            `After ${Math.round(withinMs / 1000)} seconds ${done} of ${people.length} users were done: take fewer --users, or a faster target.`
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

/** Sends a request until it is answered as it must be. Rejects with a `Refusal` when it is refused. */
async function insist (
  targets: Target[], turn: number, request: Request, expected: number, signal: AbortSignal
): Promise<Exchange> {
  const target = targets[turn % targets.length] as Target
  let isCertain = true
  for (let attempt = 1; ; attempt++) {
    const exchange = await target.load.send(request)
    if (exchange.status === expected) return exchange
    isCertain &&= exchange.askedAt === undefined || (exchange.status !== undefined && exchange.status < 500)
    // What was sent before, and not answered in time.
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
  /** Whether nothing can have come of it: no try of several was left without an answer, or answered with 503. */
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

/** Why a target answers 429, and the cure. */
export function limited (name: string, request: string): string {
  return `${name} answers ${request} with 429, since its limits on guessing passwords are on: start it with ` +
    'RATE_LIMITS=off, on a closed network only.'
}
