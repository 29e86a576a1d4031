import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import { password, refresh, signIn, type Pair } from './people.ts'
import { askBoth, claimsOf, findDeath, findLife, openRotated, send, setStage, summarize, type Stage } from './stage.ts'

/** A user with a session, or with two, and an administrator. */
export interface Scene {
  user: { id: string, username: string }
  /** The pairs of the session that is raced for, newest last. */
  it: Pair[]
  /** The pair of another one, where that is needed. */
  other: Pair[]
  admin: string
}

/** A session of a scene. `new` is the one that a login opens during the race. */
type Which = 'it' | 'other' | 'new'

/** Something that somebody does in a race. */
export interface Act {
  name: string
  run (scene: Scene, app: FastifyInstance): Promise<LightMyRequestResponse>
  /** The answers that it may get, and which of them say that it was done. */
  done: string[]
  refused?: string[]
  /** What has ended once it was done. */
  ends?: Which[]
  /** Once it was done, no session may live whose login began before. */
  voidsLogins?: true
  /** The session in whose name it is done, where that must live still. */
  inNameOf?: Which
  /** The scene needs its other session for it. */
  needsOther?: true
  /** How often the session must have been refreshed before. */
  rotations?: number
}

export const newPassword = 'another correct horse battery staple'

const newest = ({ it }: Scene) => it.at(-1) as Pair
const tokenOfOther = ({ other }: Scene) => (other[0] as Pair).access_token
const spent = ({ it }: Scene, ago: number) => (it.at(-1 - ago) as Pair).refresh_token
const all: Which[] = ['it', 'other', 'new']
const gone = ['401 token_revoked', '401 invalid_token']
const changePassword = (app: FastifyInstance, token: string) => send(app, 'PUT', '/me/password', token, { current_password: password, new_password: newPassword })

/** What must lose to an ending. */
export const contenders = {
  refresh: { name: 'a refresh', run: (scene, app) => refresh(app, newest(scene).refresh_token), done: ['200'], refused: ['401 token_revoked'] },
  refreshInGrace: { name: 'a refresh in grace', run: (scene, app) => refresh(app, spent(scene, 1)), done: ['200'], refused: ['401 token_revoked', '401 refresh_token_reused'], rotations: 1 },
  reuse: { name: 'a reuse', run: (scene, app) => refresh(app, spent(scene, 2)), done: ['401 refresh_token_reused', '401 token_revoked'], ends: ['it'], rotations: 2 },
  login: { name: 'a login', run: ({ user }, app) => send(app, 'POST', '/login', undefined, { username: user.username, password }), done: ['200'], refused: ['401 invalid_credentials', '403 account_disabled'] },
  passwordChange: { name: 'a password change', run: (scene, app) => changePassword(app, newest(scene).access_token), done: ['204'], refused: [...gone, '403 invalid_credentials'], ends: ['other'], inNameOf: 'it', needsOther: true },
  logout: { name: 'a logout', run: (scene, app) => send(app, 'POST', '/logout', newest(scene).access_token), done: ['200'], refused: gone, ends: ['it'] }
} satisfies Record<string, Act>

/** Every way in which the session ends. */
export const endings: Act[] = [
  { name: 'logout', run: (scene, app) => send(app, 'POST', '/logout', newest(scene).access_token), done: ['200'], refused: gone, ends: ['it'] },
  { name: 'logout of all', run: (scene, app) => send(app, 'POST', '/logout?scope=all', tokenOfOther(scene)), done: ['200'], refused: gone, ends: all, needsOther: true },
  { name: 'logout of the others', run: (scene, app) => send(app, 'POST', '/logout?scope=others', tokenOfOther(scene)), done: ['200'], refused: gone, ends: ['it', 'new'], inNameOf: 'other', needsOther: true },
  { name: 'logout with the refresh token', run: (scene, app) => send(app, 'POST', '/logout', undefined, { refresh_token: newest(scene).refresh_token }), done: ['200', '401 refresh_token_reused'], ends: ['it'] },
  { name: 'DELETE /me/sessions/:id', run: (scene, app) => send(app, 'DELETE', `/me/sessions/${claimsOf(newest(scene)).sid}`, tokenOfOther(scene)), done: ['204'], refused: gone, ends: ['it'], inNameOf: 'other', needsOther: true },
  { name: 'PUT /me/password', run: (scene, app) => changePassword(app, tokenOfOther(scene)), done: ['204'], refused: [...gone, '403 invalid_credentials'], ends: ['it', 'new'], inNameOf: 'other', voidsLogins: true, needsOther: true },
  { name: 'PUT /users/:id/status', run: ({ user, admin }, app) => send(app, 'PUT', `/users/${user.id}/status`, admin, { status: 'disabled' }), done: ['200'], ends: all, voidsLogins: true },
  { name: 'PUT /users/:id/role', run: ({ user, admin }, app) => send(app, 'PUT', `/users/${user.id}/role`, admin, { role: 'admin' }), done: ['200'], ends: all },
  { name: 'DELETE /me', run: (scene, app) => send(app, 'DELETE', '/me', tokenOfOther(scene), { password }), done: ['204'], refused: [...gone, '403 invalid_credentials'], ends: all, inNameOf: 'other', voidsLogins: true, needsOther: true },
  { name: 'DELETE /users/:id', run: ({ user, admin }, app) => send(app, 'DELETE', `/users/${user.id}`, admin), done: ['204'], ends: all, voidsLogins: true },
  { name: 'DELETE /users/:id/sessions', run: ({ user, admin }, app) => send(app, 'DELETE', `/users/${user.id}/sessions`, admin), done: ['204'], ends: all },
  { name: 'POST /revocations of a session', run: (scene, app) => send(app, 'POST', '/revocations', scene.admin, { sid: claimsOf(newest(scene)).sid }), done: ['200'], ends: ['it'] },
  { name: 'POST /revocations of a user', run: ({ user, admin }, app) => send(app, 'POST', '/revocations', admin, { subject: user.id }), done: ['200'], ends: all },
  { name: 'reuse', run: (scene, app) => refresh(app, spent(scene, 2)), done: ['401 refresh_token_reused', '401 token_revoked'], ends: ['it'], rotations: 2 }
]

export async function setScene ({ one, two, addUser }: Stage, admin: string, ...acts: Act[]): Promise<Scene> {
  const user = await addUser()
  const [it, other] = await Promise.all([
    openRotated(one, user.username, Math.max(...acts.map(act => act.rotations ?? 0))),
    acts.some(act => act.needsOther) ? openRotated(two, user.username, 0) : []
  ])
  return { user, it, other, admin }
}

/** An act and the answer that it got. */
interface Outcome {
  act: Act
  answer: LightMyRequestResponse
}

const isDone = ({ act, answer }: Outcome) => act.done.includes(summarize(answer))

/** Races an act against every ending, either being held. */
export async function testRaces (t: Test, act: Act): Promise<void> {
  const stage = await setStage(t)
  const admin = await signIn(stage.one, (await stage.addUser('admin')).username)
  for (const ending of endings) {
    const held = await race(stage, admin, act, ending)
    const holding = await race(stage, admin, ending, act)
    t.same([...held.problems, ...holding.problems], [], `${act.name} × ${ending.name}, ${held.count + holding.count} times`)
  }
}

/**
 * Holds one act, on one replica, before each of its steps in turn, lets another act run on the other replica until it has
 * been answered or is blocked, and lets the first go on. Answers how many interleavings there were, and what was wrong.
 */
async function race (stage: Stage, admin: string, held: Act, free: Act): Promise<{ count: number, problems: string[] }> {
  const problems: string[] = []
  for (let holdBefore = 0; ; holdBefore++) {
    const scene = await setScene(stage, admin, held, free)
    stage.stepper.takeMoments()
    const first = stage.stepper.start('first', () => held.run(scene, stage.one), holdBefore)
    const wasHeld = await first.held
    const second = stage.stepper.start('second', () => free.run(scene, stage.two))
    const place = `${held.name} held before step ${holdBefore} (${first.steps[holdBefore] ?? 'none: it is over'}), ${free.name}`
    const report = (found: string[]) => { problems.push(...found.map(problem => `${place}: ${problem}`)) }

    if (await second.settles()) {
      const outcome = { act: free, answer: await second.answer }
      if (wasHeld && isDone(outcome) && free.ends?.includes('it')) report(await findEarlyLife(stage, scene))
    }
    first.release()
    const outcomes = [{ act: held, answer: await first.answer }, { act: free, answer: await second.answer }]
    report(await findFaults(stage, scene, outcomes, outcomes[['first', 'second'].indexOf(firstToCommit(stage) ?? '')]?.act))
    if (!wasHeld) return { count: holdBefore + 1, problems }
  }
}

/** Which of two flows was committed first, if both were. */
export function firstToCommit ({ stepper }: Stage): string | undefined {
  const commits = stepper.takeMoments().filter(({ step }) => step === 'commit').map(({ flow }) => flow)
  return new Set(commits).size > 1 ? commits[0] : undefined
}

/** The answer of an ending is a promise at once, whatever others are in the middle of. */
async function findEarlyLife (stage: Stage, scene: Scene): Promise<string[]> {
  const asked = await askBoth(stage, newest(scene).access_token)
  return asked === '401 token_revoked' ? [] : [`once its end was answered, the access token got ${asked}`]
}

/** @param committedFirst which of two acts that were committed */
async function findFaults (stage: Stage, scene: Scene, outcomes: Outcome[], committedFirst: Act | undefined): Promise<string[]> {
  const faults = outcomes.filter(({ act, answer }) => ![...act.done, ...act.refused ?? []].includes(summarize(answer))).map(({ act, answer }) => `${act.name} got ${summarize(answer)}`)
  const done = outcomes.filter(isDone).map(({ act }) => act)
  const late = done.length > 1 && committedFirst !== undefined ? done.find(act => act !== committedFirst) : undefined
  if (late?.inNameOf !== undefined && committedFirst?.ends?.includes(late.inNameOf)) faults.push(`${late.name} was done in the name of a session that had ended`)

  const handedOut = outcomes.filter(({ answer }) => answer.statusCode === 200 && 'refresh_token' in answer.json()).map(({ answer }) => answer.json() as Pair)
  const hasEnded = (which: Which) => done.some(act => act.ends?.includes(which) && (which !== 'new' || act.voidsLogins || committedFirst === contenders.login))
  for (const row of await stage.findSessions(scene.user.id)) {
    const which = [scene.it, scene.other].findIndex(([pair]) => pair !== undefined && claimsOf(pair).sid === row.id)
    const name = (['it', 'other'] as const)[which] ?? 'new'
    const own = [...scene.it, ...scene.other, ...handedOut].filter(pair => claimsOf(pair).sid === row.id)
    const found = hasEnded(name) ? await findLife(stage, row, own) : await findDeath(stage, row, own)
    faults.push(...found.map(fault => `the session "${name}": ${fault}`))
    if (row.ended_at === null) faults.push(...await findStaleScope(stage, scene, own))
  }
  return faults
}

/** Of a session that lives, no token may say of the user what is no longer so. */
async function findStaleScope (stage: Stage, { user }: Scene, pairs: Pair[]): Promise<string[]> {
  const [now] = await stage.ask('select role, status from users where id = $1', [user.id])
  return pairs.filter(pair => now?.['status'] !== 'active' || claimsOf(pair).scope !== now['role']).map(pair => `a live token says ${claimsOf(pair).scope}, of a user that is ${JSON.stringify(now)}`)
}
