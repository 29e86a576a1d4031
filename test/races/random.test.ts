import { randomInt } from 'node:crypto'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { createDraw, type Draw } from '../support/draw.ts'
import { inForm } from '../support/form.ts'
import { password, signIn, type Pair } from '../support/people.ts'
import { logOut, outcome, refresh, send } from '../support/requests.ts'
import { claimsOf, sessionIdOf, signInAndRefresh } from '../support/sessions.ts'
import { findDeath, findLife, setStage, type Stage } from './stage.ts'

/** Repeats a run: the draws are the same, but not the timing of the machine. */
const seed = Number(process.env['RACE_SEED']) || randomInt(1, 2 ** 31)
const users = inForm({ short: 4, long: 8 })
const roundsOfUser = 10
const maxSessions = 5
const maxAtOnce = 4
/** Few requests have more steps. */
const maxSteps = 12
/** Flows of one replica share this step. While it is held, the others wait for it, and not in Postgres. */
const sharedStep = 'select signing_keys'

/** One user, as its clients know it. */
interface Life {
  user: { id: string, username: string }
  admin: string
  password: string
  /** The pairs that were issued for each session, newest last. */
  pairs: Map<string, Pair[]>
}

/** An act of a client on a session, and the sessions that have ended once the act has succeeded. */
interface Move {
  run (app: FastifyInstance, life: Life, session: Pair[]): Promise<LightMyRequestResponse>
  ends?: 'it' | 'others' | 'all'
  done?: RegExp
  /** A login that was begun before it, or at the same time, opens no session that lives. */
  voidsLogins?: true
}

const last = (session: Pair[]) => session.at(-1) as Pair
const signInAgain = (app: FastifyInstance, life: Life) =>
  send(app, 'POST /login', { body: { username: life.user.username, password: life.password } })
const changedPassword = `${password}, changed `

const moves: Record<string, Move> = {
  login: { run: signInAgain },
  'another login': { run: signInAgain },
  refresh: { run: (app, _, session) => refresh(app, last(session).refresh_token) },
  'another refresh': { run: (app, _, session) => refresh(app, last(session).refresh_token) },
  'a refresh with the token before': {
    run: (app, _, session) => refresh(app, (session.at(-2) ?? last(session)).refresh_token),
    ends: 'it',
    done: /refresh_token_reused/
  },
  'a refresh with the first token': {
    run: (app, _, session) => refresh(app, String(session[0]?.refresh_token)), ends: 'it', done: /refresh_token_reused/
  },
  logout: { run: (app, _, session) => logOut(app, last(session).access_token), ends: 'it' },
  'logout of all': {
    run: (app, _, session) => send(app, 'POST /logout?scope=all', { token: last(session).access_token }), ends: 'all'
  },
  'logout of the others': {
    run: (app, _, session) => send(app, 'POST /logout?scope=others', { token: last(session).access_token }),
    ends: 'others'
  },
  'logout with the refresh token': {
    run: (app, _, session) => send(app, 'POST /logout', { body: { refresh_token: last(session).refresh_token } }),
    ends: 'it',
    done: /^200|refresh_token_reused/
  },
  'password change': {
    run: (app, life, session) =>
      send(app, 'PUT /me/password', {
        token: last(session).access_token,
        body: { current_password: life.password, new_password: changedPassword + sessionIdOf(last(session)) }
      }),
    ends: 'all',
    voidsLogins: true
  },
  disabling: {
    run: (app, { user, admin }) =>
      send(app, `PUT /users/${user.id}/status`, { token: admin, body: { status: 'disabled' } }),
    ends: 'all',
    voidsLogins: true
  },
  revocation: {
    run: (app, { admin }, session) =>
      send(app, 'POST /revocations', { token: admin, body: { sid: sessionIdOf(last(session)) } }),
    ends: 'it'
  }
}

const expected =
  /^20[04]|^401 (token_revoked|invalid_token|refresh_token_reused|invalid_credentials)|^403 (account_disabled|invalid_credentials)/

/** Lets several clients act at once, some held for a while, and returns the faults afterwards. */
async function playRound (stage: Stage, life: Life, draw: Draw): Promise<string[]> {
  const before = [...life.pairs.keys()]
  const drawn = Array.from({ length: 2 + draw(maxAtOnce - 1) }, () => {
    const [name, move] = Object.entries(moves)[draw(Object.keys(moves).length)] as [string, Move]
    return {
      name,
      move,
      sid: String(before[draw(before.length)]),
      app: draw(2) === 0 ? stage.one : stage.two,
      holdBefore: draw(maxSteps)
    }
  })
  const started = []
  for (const { name, move, sid, app, holdBefore } of drawn) {
    const session = [...life.pairs.get(sid) as Pair[]]
    const flow = stage.stepper.start(name, () => move.run(app, life, session), holdBefore, sharedStep)
    await Promise.race([flow.held, flow.settles()])
    started.push({ name, move, sid, flow })
  }
  const problems: string[] = []
  const mustEnd = new Set<string>()
  const openedByChange = new Set<string>()
  let mayBeNew = true
  for (const { flow } of [...started].sort(() => draw(3) - 1)) flow.release()
  for (const { name, move, sid, flow } of started) {
    const answer = await flow.answer
    const summary = outcome(answer)
    if (!expected.test(summary)) problems.push(`${name} got ${summary}`)
    if (answer.statusCode === 200 && 'refresh_token' in answer.json()) remember(life, answer.json())
    if (!(move.done ?? /^20/).test(summary)) continue
    if (move.voidsLogins) mayBeNew = false
    if (name === 'password change') {
      life.password = changedPassword + sid
      openedByChange.add(sessionIdOf(answer.json()))
    }
    for (const other of before) {
      if (move.ends === 'all' || (move.ends === 'it' && other === sid) || (move.ends === 'others' && other !== sid)) {
        mustEnd.add(other)
      }
    }
  }
  const mustHaveEnded = (sid: string) =>
    mustEnd.has(sid) || (!mayBeNew && !before.includes(sid) && !openedByChange.has(sid))
  return [...problems, ...await findFaults(stage, life, mustHaveEnded)].map(
    problem => `${drawn.map(({ name, sid }) => `${name} of ${before.indexOf(sid)}`).join(', ')}: ${problem}`
  )
}

function remember ({ pairs }: Pick<Life, 'pairs'>, pair: Pair): void {
  const { sid } = claimsOf(pair)
  const known = pairs.get(sid) ?? []
  // A repeated pair is not the newest: it may be the predecessor of a known one.
  if (!known.some(({ refresh_token: token }) => token === pair.refresh_token)) pairs.set(sid, [...known, pair])
}

/** Returns the faults. An issued token has to work exactly while its session lives. Forgets ended sessions. */
async function findFaults (stage: Stage, life: Life, mustHaveEnded: (sid: string) => boolean): Promise<string[]> {
  const faults: string[] = []
  const rows = await stage.findSessions(life.user.id)
  const live = rows.filter(row => row.ended_at === null)
  if (live.length > maxSessions) faults.push(`${live.length} sessions live`)
  for (const row of rows) {
    if (mustHaveEnded(row.id) && row.ended_at === null) faults.push('a session that was ended lives')
    const session = life.pairs.get(row.id)
    if (session === undefined) continue
    faults.push(...row.ended_at === null ? await findDeath(stage, row, session) : await findLife(stage, row, session))
    if (row.ended_at !== null) life.pairs.delete(row.id)
  }
  return faults
}

t.test(`concurrent clients of one user on two replicas leave no fault (RACE_SEED=${seed})`, async t => {
  const stage = await setStage(t, { MAX_SESSIONS: String(maxSessions) })
  const { access_token: admin } = await signIn(stage.one, (await stage.addUser('admin')).username)
  const draw = createDraw(seed)
  for (let number = 0; number < users; number++) {
    const life: Life = { user: await stage.addUser(), admin, password, pairs: new Map() }
    for (let round = 0; round < roundsOfUser; round++) {
      await send(stage.one, `PUT /users/${life.user.id}/status`, { token: admin, body: { status: 'active' } })
      life.pairs.clear()
      for (let rotations = 0; rotations < 3; rotations++) {
        const pairs = await signInAndRefresh(stage.two, life.user.username, rotations, { password: life.password })
        for (const pair of pairs) remember(life, pair)
      }
      t.same(await playRound(stage, life, draw), [], `RACE_SEED=${seed}, user ${number}, round ${round}`)
    }
  }
})
