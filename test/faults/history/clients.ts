import { setTimeout as sleep } from 'node:timers/promises'
import { pick, type Draw } from '../../support/draw.ts'
import { password, type Account } from '../../support/people.ts'
import { isConfirmedEnding } from './operations.ts'
import type { Answered, PlannedRequest, Recorder, Target, Tokens } from './recorder.ts'

export interface ClientOptions {
  recorder: Recorder
  /** Every replica, those that are down included. */
  targets: readonly Target[]
  person: Account
  /** Returns a token of an administrator, if there is one. */
  administrator: () => Tokens | undefined
}

/** A client that signs in, uses tokens, refreshes and ends sessions at random, like a user with several devices. */
export interface Client {
  /** Does one random act, and sometimes another that follows from it. */
  act (draw: Draw): Promise<void>
  /** Notes that a session has ended. */
  forget (session: string): void
}

/** A session as its client knows it. */
interface Known {
  id: string
  /** All pairs that it was given, newest last. */
  pairs: Tokens[]
  /** When it ended, as far as the client knows. */
  endedAt: number | undefined
}

const maxOpenSessions = 4
/**
 * A session is still tried for so long after its end, and after its last token has expired, since clocks may be behind.
 */
const triedAfterEndMs = 12_000
const triedAfterExpiryMs = 5_000
const maxRetries = 3
/** `REFRESH_GRACE` of the run, in milliseconds. */
const graceMs = 2_000

const newest = ({ pairs }: Known) => pairs.at(-1) as Tokens

export function createClient ({ recorder, targets, person, administrator }: ClientOptions): Client {
  const known = new Map<string, Known>()
  const open = () => [...known.values()].filter(({ endedAt }) => endedAt === undefined)

  async function ask (draw: Draw, asked: Omit<PlannedRequest, 'client'>): Promise<Answered> {
    const answered = await recorder.ask(pick(draw, targets), { ...asked, client: person.username })
    const { operation, tokens } = answered
    if (tokens !== undefined) remember(tokens)
    if (isConfirmedEnding(operation)) for (const id of operation.ends) forget(id)
    return answered
  }

  function remember (tokens: Tokens): void {
    const session = known.get(tokens.session) ?? { id: tokens.session, pairs: [], endedAt: undefined }
    // A pair may be sent again: it is not the newest then.
    if (!session.pairs.some(({ refreshToken }) => refreshToken === tokens.refreshToken)) session.pairs.push(tokens)
    known.set(session.id, session)
  }

  function forget (id: string): void {
    const session = known.get(id)
    if (session !== undefined) session.endedAt ??= recorder.now()
  }

  function tidy (): void {
    for (const session of known.values()) {
      const isOver = session.endedAt !== undefined && recorder.now() > session.endedAt + triedAfterEndMs
      if (isOver || newest(session).expiresAt + triedAfterExpiryMs < Date.now()) known.delete(session.id)
      else if (session.pairs.length > 6) session.pairs.shift()
    }
  }

  /** Chooses an open session, or often enough one that has ended: that is where tokens must be refused. */
  function choose (draw: Draw): Known {
    const sessions = draw(3) > 0 ? open() : []
    return pick(draw, sessions.length > 0 ? sessions : [...known.values()])
  }

  const signIn = (draw: Draw) =>
    ask(draw, { kind: 'sign-in', route: 'POST /login', body: { username: person.username, password } })
  const use = (draw: Draw, bearer: Tokens, route = 'GET /token') => ask(draw, { kind: 'request', route, bearer })
  const refreshWith = (draw: Draw, refresh: Tokens) =>
    ask(draw, { kind: 'refresh', route: 'POST /refresh', refresh, ends: [refresh.session] })

  /** Every way of ending something, as the request for it. */
  const endings: Array<(draw: Draw, session: Known) => Omit<PlannedRequest, 'client' | 'kind'>> = [
    (_, session) => ({ route: 'POST /logout', bearer: newest(session), ends: [session.id] }),
    (draw, session) => ({ route: 'POST /logout', bearer: pick(draw, session.pairs), ends: [session.id] }),
    (_, session) => ({ route: 'POST /logout', refresh: newest(session), ends: [session.id] }),
    (_, session) => ({
      route: 'POST /logout', bearer: newest(session), refresh: newest(session), ends: [session.id]
    }),
    (_, session) => ({
      route: 'POST /reauthenticate', bearer: newest(session), body: { password }, ends: [session.id]
    }),
    () => ({
      route: 'POST /login',
      body: { username: person.username, password, end_other_sessions: true },
      ends: open().map(({ id }) => id),
      alsoEnds: { client: person.username }
    }),
    (_, session) => ({
      route: 'POST /logout',
      path: '/logout?scope=all',
      bearer: newest(session),
      ends: [...new Set([session.id, ...open().map(({ id }) => id)])],
      alsoEnds: { client: person.username }
    }),
    (_, session) => ({
      route: 'POST /logout',
      path: '/logout?scope=others',
      bearer: newest(session),
      ends: open()
        .map(({ id }) => id)
        .filter(id => id !== session.id),
      alsoEnds: { client: person.username }
    }),
    (draw, session) => {
      const other = pick(draw, [...known.values()])
      return {
        route: 'DELETE /me/sessions/{id}', path: `/me/sessions/${other.id}`, bearer: newest(session), ends: [other.id]
      }
    },
    (_, session) => ({
      route: 'POST /revocations', ...withAdministrator(), body: { sid: session.id }, ends: [session.id]
    }),
    (_, session) => ({ route: 'POST /refresh', refresh: session.pairs[0] as Tokens, ends: [session.id] })
  ]

  function withAdministrator (): { bearer?: Tokens } {
    const bearer = administrator()
    return bearer === undefined ? {} : { bearer }
  }

  /** Ends something, tries again as often as people do, and then uses its tokens. */
  async function end (draw: Draw): Promise<void> {
    const session = choose(draw)
    const asked = pick(draw, endings)(draw, session)
    const ended = asked.ends?.map(id => known.get(id)).filter(session => session !== undefined) ?? []
    const kind = asked.route === 'POST /refresh' ? 'refresh' : 'ending'
    for (let attempt = 0, retries = draw(maxRetries); attempt <= retries; attempt++) {
      const { operation } = await ask(draw, { kind, ...asked })
      if (operation.status !== undefined && operation.status !== 503) break
      await sleep(draw(300))
    }
    for (const { pairs } of ended) await Promise.all(pairs.slice(-2).map(pair => use(draw, pair)))
  }

  async function useSome (draw: Draw): Promise<void> {
    const session = choose(draw)
    const bearer = draw(2) === 0 ? newest(session) : pick(draw, session.pairs)
    await use(draw, bearer, draw(8) === 0 ? 'GET /me' : 'GET /token')
  }

  /** Refreshes once, or twice at the same time with one refresh token, as two tabs do. */
  async function refresh (draw: Draw): Promise<void> {
    const session = choose(draw)
    const presented = draw(5) === 0 ? pick(draw, session.pairs.slice(-2)) : newest(session)
    await Promise.all(Array.from({ length: draw(4) === 0 ? 2 : 1 }, () => refreshWith(draw, presented)))
  }

  /** Loses the answer to a refresh, and tries again when the grace is over, as a phone in a tunnel does. */
  async function refreshLate (draw: Draw): Promise<void> {
    const refresh = newest(choose(draw))
    await recorder.ask(pick(draw, targets), {
      kind: 'refresh', client: person.username, route: 'POST /refresh', refresh, ends: [refresh.session]
    })
    await sleep(graceMs + draw(500))
    await refreshWith(draw, refresh)
  }

  return {
    forget,
    async act (draw) {
      tidy()
      const what = draw(100)
      if (open().length === 0 || (what < 14 && open().length < maxOpenSessions)) await signIn(draw)
      else if (what < 66) await useSome(draw)
      else if (what < 84) await refresh(draw)
      else if (what < 87) await refreshLate(draw)
      else await end(draw)
    }
  }
}
