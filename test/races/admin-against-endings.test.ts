import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { inForm } from '../support/form.ts'
import { signIn, type Pair } from '../support/people.ts'
import { outcome, send } from '../support/requests.ts'
import { claimsOf, sessionIdOf } from '../support/sessions.ts'
import { firstToCommit } from './races.ts'
import { askBoth, setStage, type Stage } from './stage.ts'

/** An administrator who acts on a user, and a chief who ends the rights of that administrator meanwhile. */
interface RaceScene {
  chief: string
  admin: { id: string, pair: Pair }
  user: { id: string, pair: Pair }
}

type RaceAct = (app: FastifyInstance, scene: RaceScene) => Promise<LightMyRequestResponse>

const acts: Record<string, RaceAct> = {
  'promotes an accomplice': (app, { admin, user }) =>
    send(app, `PUT /users/${user.id}/role`, { token: admin.pair.access_token, body: { role: 'admin' } }),
  'disables a user': (app, { admin, user }) =>
    send(app, `PUT /users/${user.id}/status`, { token: admin.pair.access_token, body: { status: 'disabled' } }),
  'deletes a user': (app, { admin, user }) =>
    send(app, `DELETE /users/${user.id}`, { token: admin.pair.access_token }),
  'ends sessions': (app, { admin, user }) =>
    send(app, `DELETE /users/${user.id}/sessions`, { token: admin.pair.access_token }),
  'revokes a user': (app, { admin, user }) =>
    send(app, 'POST /revocations', { token: admin.pair.access_token, body: { subject: user.id } }),
  'revokes a session': (app, { admin, user }) =>
    send(app, 'POST /revocations', { token: admin.pair.access_token, body: { sid: sessionIdOf(user.pair) } }),
  'revokes a token': (app, { admin, user }) =>
    send(app, 'POST /revocations', { token: admin.pair.access_token, body: { jti: claimsOf(user.pair).jti } })
}

const falls: Record<string, RaceAct> = {
  demoted: (app, { chief, admin }) =>
    send(app, `PUT /users/${admin.id}/role`, { token: chief, body: { role: 'user' } }),
  disabled: (app, { chief, admin }) =>
    send(app, `PUT /users/${admin.id}/status`, { token: chief, body: { status: 'disabled' } }),
  deleted: (app, { chief, admin }) => send(app, `DELETE /users/${admin.id}`, { token: chief }),
  'signed out': (app, { chief, admin }) => send(app, `DELETE /users/${admin.id}/sessions`, { token: chief })
}

async function setAdmins (stage: Stage, chief: string): Promise<RaceScene> {
  const people = await Promise.all((['admin', 'user'] as const).map(async role => {
    const { id, username } = await stage.addUser(role)
    return { id, pair: await signIn(stage.one, username) }
  }))
  return { chief, admin: people[0] as RaceScene['admin'], user: people[1] as RaceScene['user'] }
}

/** Returns the effects of an act that came too late. */
async function findTraces (stage: Stage, { admin, user }: RaceScene): Promise<string[]> {
  const [row] = await stage.ask('select role, status from users where id = $1', [user.id])
  const events = await stage.ask('select type from security_events where actor_id = $1', [admin.id])
  const asked = await askBoth(stage, user.pair.access_token)
  return [
    ...row?.['role'] === 'user' && row['status'] === 'active' ? [] : [`the user is ${JSON.stringify(row)}`],
    ...events.map(({ type }) => `${type} is recorded`),
    ...asked === '200' ? [] : [`the token of the user got ${asked}`]
  ]
}

/** In the long form an act is held before each of its steps. In the short form before every third one. */
const stride = inForm({ short: 3, long: 1 })
let races = 0

async function race (stage: Stage, chief: string, held: RaceAct, free: RaceAct, act: RaceAct): Promise<string[]> {
  const problems: string[] = []
  const firstStep = races++ % stride
  for (let holdBefore = firstStep, isDone = false; !isDone; holdBefore += stride) {
    const scene = await setAdmins(stage, chief)
    stage.stepper.takeMoments()
    const first = stage.stepper.start('first', () => held(stage.one, scene), holdBefore)
    isDone = !await first.held
    const second = stage.stepper.start('second', () => free(stage.two, scene))
    await second.settles()
    first.release()
    const [acted, fell] = held === act ? [first, second] : [second, first]
    const answers = [outcome(await acted.answer), outcome(await fell.answer)]
    const isTooLate = firstToCommit(stage) === (fell === first ? 'first' : 'second') || !answers[0]?.startsWith('20')
    const expected = isTooLate ? ['401 token_revoked'] : ['200', '204']
    const place = `held before step ${holdBefore}, ${first.steps[holdBefore] ?? 'none'}`
    if (!expected.includes(String(answers[0])) || !/^20[04]$/.test(String(answers[1]))) {
      problems.push(`${place}: ${answers.join(' and ')}`)
    }
    if (isTooLate) problems.push(...(await findTraces(stage, scene)).map(trace => `${place}: too late, but ${trace}`))
  }
  return problems
}

const stage = await setStage(t)

t.test('an administrator who loses the right mid-request finishes first or changes nothing, at many steps', async t => {
  const { username } = await stage.addUser('admin')
  const { access_token: chief } = await signIn(stage.one, username)
  for (const [actName, act] of Object.entries(acts)) {
    for (const [fallName, fall] of Object.entries(falls)) {
      t.same(await race(stage, chief, act, fall, act), [], `one who ${actName}, held, is ${fallName}`)
      t.same(await race(stage, chief, fall, act, act), [], `one who ${actName} while being ${fallName}, which is held`)
    }
  }
})

t.test('two administrators who end each other\'s session at once do not deadlock, at every step', async t => {
  for (let holdBefore = 0, isDone = false; !isDone; holdBefore++) {
    const [one, two] = (await Promise.all(
      [0, 1].map(async () => await signIn(stage.one, (await stage.addUser('admin')).username))
    )) as [Pair, Pair]
    const revoke = (app: FastifyInstance, mine: Pair, other: Pair) =>
      send(app, 'POST /revocations', { token: mine.access_token, body: { sid: sessionIdOf(other) } })
    const first = stage.stepper.start('first', () => revoke(stage.one, one, two), holdBefore)
    isDone = !await first.held
    const second = stage.stepper.start('second', () => revoke(stage.two, two, one))
    await second.settles()
    first.release()
    t.same(
      [await first.answer, await second.answer].map(outcome).sort(),
      ['200', '401 token_revoked'],
      `held before step ${holdBefore}`
    )
  }
})
