import { setTimeout as sleep } from 'node:timers/promises'
import type { Exchange, Request } from './http-client.ts'
import type { LogoutCheck } from './logout-check.ts'
import { openedSession, type Person, type Session } from './people.ts'
import { chooseOperation, requestLines, type Operation, type Profile } from './profiles.ts'
import type { Recorder } from './recorder.ts'
import type { Target } from './targets.ts'

/** The pause of a user after a request that failed, in milliseconds. */
const pauseMs = 250

export interface Actions {
  /**
   * Sends one request of a user, by the profile. A logout is checked afterwards, and a failure is followed by a pause.
   * Never rejects.
   *
   * @param dueAt the time at which the request was due, by `performance.now()`; latency counts from there
   */
  act (person: Person, dueAt: number): Promise<void>
  /** Signs in on one device. */
  signIn (person: Person, dueAt: number): Promise<void>
  /** Logs out on one device. If the access token is stale, refreshes the session instead. */
  logOut (person: Person, dueAt: number): Promise<void>
}

export interface ActionsOptions {
  profile: Profile
  targets: Target[]
  recorder: Recorder
  logoutCheck: LogoutCheck
  /** Called for each 429. */
  onLimited: (target: Target, request: string) => void
  random?: () => number
}

type Logout = 'logout' | 'logout-everywhere'

export function createActions (options: ActionsOptions): Actions {
  const { profile, logoutCheck, random = Math.random } = options
  const send = createSend(options)
  const sendProved = proveIfAsked(send)

  async function signIn (person: Person, dueAt: number): Promise<void> {
    const { username, password } = person
    const { exchange } = await send('sign-in', dueAt, { body: { username, password } })
    if (exchange.status === 200) person.sessions.push(openedSession(exchange.body))
    else await sleep(pauseMs)
  }

  async function refresh (person: Person, session: Session, dueAt: number): Promise<void> {
    const { exchange } = await send('refresh', dueAt, { body: { refresh_token: session.refreshToken } })
    if (exchange.status === 200) Object.assign(session, openedSession(exchange.body, session))
    else if (exchange.status === 401) forget(person, session)
    else {
      // The token is sent again. If only the answer was lost, it gets the same pair.
      session.refreshAt = 0
      await sleep(pauseMs)
    }
  }

  async function endSessions (person: Person, session: Session, operation: Logout, dueAt: number): Promise<void> {
    const ended = operation === 'logout' ? [session] : [...person.sessions]
    const { exchange, target } = await sendProved(person, operation, dueAt, session.accessTokens[0])
    if (exchange.status === 200) {
      forget(person, ...ended)
      await logoutCheck.check({ sessions: ended, target, answeredAt: exchange.endedAt })
    } else if (exchange.status === 401 && exchange.error !== 'token_expired') {
      forget(person, ...ended)
    } else {
      person.unfinished = { operation, session }
      if (exchange.error === 'token_expired') session.refreshAt = 0
      await sleep(pauseMs)
    }
  }

  async function read (person: Person, session: Session, operation: Operation, dueAt: number): Promise<void> {
    const { exchange: { status, error } } = await send(operation, dueAt, { token: session.accessTokens[0].token })
    if (error === 'token_expired') session.refreshAt = 0
    else if (status === 401) forget(person, session)
    else if (status !== 200) await sleep(pauseMs)
  }

  return {
    signIn,
    async logOut (person, dueAt) {
      const [session] = person.sessions
      if (session === undefined) return
      // An expired token cannot log out, and its refusal would show nothing.
      if (isStale(session)) await refresh(person, session, dueAt)
      else await endSessions(person, session, 'logout', dueAt)
    },
    async act (person, dueAt) {
      const { sessions, unfinished } = person
      const stale = sessions.find(isStale)
      if (stale !== undefined) return await refresh(person, stale, dueAt)
      if (unfinished !== undefined) return await endSessions(person, unfinished.session, unfinished.operation, dueAt)
      const session = sessions[Math.floor(random() * sessions.length)]
      if (session === undefined || sessions.length < profile.devices) return await signIn(person, dueAt)
      const operation = chooseOperation(profile.shares ?? {}, random())
      if (operation === 'refresh') return await refresh(person, session, dueAt)
      if (operation === 'logout' || operation === 'logout-everywhere') {
        return await endSessions(person, session, operation, dueAt)
      }
      await read(person, session, operation, dueAt)
    }
  }
}

/** Returns a sender that sends the password of the user too, if the login was too long ago. */
function proveIfAsked (send: Send) {
  return async ({ password }: Person, operation: Logout, dueAt: number, { token }: { token: string }) => {
    const answered = await send(operation, dueAt, { token })
    if (answered.exchange.error !== 'insufficient_user_authentication') return answered
    return await send(operation, dueAt, { token, body: { password } })
  }
}

type Send = (
  operation: Operation, dueAt: number, credentials: Pick<Request, 'token' | 'body'>
) => Promise<{ exchange: Exchange, target: Target }>

/**
 * Returns a function that sends requests to the targets in turns. So a token is used at other targets than its issuer.
 */
function createSend ({ targets, recorder, onLimited }: ActionsOptions): Send {
  let turn = 0
  return async (operation, dueAt, credentials) => {
    const target = targets[turn++ % targets.length] as Target
    const [method, path] = requestLines[operation].split(' ') as [Request['method'], string]
    const exchange = await target.load.send({ method, path, ...credentials })
    recorder.record(operation, exchange, exchange.endedAt - dueAt)
    if (exchange.status === 429) onLimited(target, `${method} ${path}`)
    return { exchange, target }
  }
}

/** Returns true if the access token of a session has expired, or will soon. */
function isStale ({ refreshAt }: Session): boolean {
  return refreshAt <= performance.now()
}

/** Removes sessions that are over. */
function forget (person: Person, ...sessions: Session[]): void {
  person.sessions = person.sessions.filter(session => !sessions.includes(session))
  if (person.unfinished !== undefined && sessions.includes(person.unfinished.session)) person.unfinished = undefined
}
