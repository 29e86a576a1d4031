import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { decodeJwt } from 'jose'
import t from 'tap'
import { openSession, type Pair } from '../support/people.ts'
import { firstToCommit } from '../support/races.ts'
import { askBoth, claimsOf, send, setStage, summarize, type Stage } from '../support/stage.ts'

/** An administrator who acts on a user, and a chief who ends the rights of that administrator meanwhile. */
interface Scene {
  chief: string
  admin: { id: string, pair: Pair }
  somebody: { id: string, pair: Pair }
}

type Act = (app: FastifyInstance, scene: Scene) => Promise<LightMyRequestResponse>

const acts: Record<string, Act> = {
  'promotes an accomplice': (app, { admin, somebody }) =>
    send(app, 'PUT', `/users/${somebody.id}/role`, admin.pair.access_token, { role: 'admin' }),
  'disables somebody': (app, { admin, somebody }) =>
    send(app, 'PUT', `/users/${somebody.id}/status`, admin.pair.access_token, { status: 'disabled' }),
  'deletes somebody': (app, { admin, somebody }) =>
    send(app, 'DELETE', `/users/${somebody.id}`, admin.pair.access_token),
  'ends sessions': (app, { admin, somebody }) =>
    send(app, 'DELETE', `/users/${somebody.id}/sessions`, admin.pair.access_token),
  'revokes a user': (app, { admin, somebody }) =>
    send(app, 'POST', '/revocations', admin.pair.access_token, { subject: somebody.id }),
  'revokes a session': (app, { admin, somebody }) =>
    send(app, 'POST', '/revocations', admin.pair.access_token, { sid: claimsOf(somebody.pair).sid }),
  'revokes a token': (app, { admin, somebody }) =>
    send(app, 'POST', '/revocations', admin.pair.access_token, { jti: decodeJwt(somebody.pair.access_token).jti })
}

const falls: Record<string, Act> = {
  demoted: (app, { chief, admin }) => send(app, 'PUT', `/users/${admin.id}/role`, chief, { role: 'user' }),
  disabled: (app, { chief, admin }) => send(app, 'PUT', `/users/${admin.id}/status`, chief, { status: 'disabled' }),
  deleted: (app, { chief, admin }) => send(app, 'DELETE', `/users/${admin.id}`, chief),
  'signed out': (app, { chief, admin }) => send(app, 'DELETE', `/users/${admin.id}/sessions`, chief)
}

async function setAdmins (stage: Stage, chief: string): Promise<Scene> {
  const people = await Promise.all((['admin', 'user'] as const).map(async role => {
    const { id, username } = await stage.addUser(role)
    return { id, pair: await openSession(stage.one, username) }
  }))
  return { chief, admin: people[0] as Scene['admin'], somebody: people[1] as Scene['somebody'] }
}

/** Returns the effects of an act that came too late. */
async function findTraces (stage: Stage, { admin, somebody }: Scene): Promise<string[]> {
  const [user] = await stage.ask('select role, status from users where id = $1', [somebody.id])
  const events = await stage.ask('select type from security_events where actor_id = $1', [admin.id])
  const asked = await askBoth(stage, somebody.pair.access_token)
  return [
    ...user?.['role'] === 'user' && user['status'] === 'active' ? [] : [`somebody is ${JSON.stringify(user)}`],
    ...events.map(({ type }) => `${type} is recorded`),
    ...asked === '200' ? [] : [`the token of somebody got ${asked}`]
  ]
}

async function race (stage: Stage, chief: string, held: Act, free: Act, act: Act): Promise<string[]> {
  const problems: string[] = []
  for (let holdBefore = 0, isDone = false; !isDone; holdBefore++) {
    const scene = await setAdmins(stage, chief)
    stage.stepper.takeMoments()
    const first = stage.stepper.start('first', () => held(stage.one, scene), holdBefore)
    isDone = !await first.held
    const second = stage.stepper.start('second', () => free(stage.two, scene))
    await second.settles()
    first.release()
    const [acted, fell] = held === act ? [first, second] : [second, first]
    const answers = [summarize(await acted.answer), summarize(await fell.answer)]
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

t.test('an administrator who loses the right mid-request finishes first or changes nothing, at every step', async t => {
  const stage = await setStage(t)
  const { username } = await stage.addUser('admin')
  const { access_token: chief } = await openSession(stage.one, username)
  for (const [actName, act] of Object.entries(acts)) {
    for (const [fallName, fall] of Object.entries(falls)) {
      t.same(await race(stage, chief, act, fall, act), [], `one who ${actName}, held, is ${fallName}`)
      t.same(await race(stage, chief, fall, act, act), [], `one who ${actName} while being ${fallName}, which is held`)
    }
  }
})

t.test('two administrators who end each other\'s session at once do not deadlock, at every step', async t => {
  const stage = await setStage(t)
  for (let holdBefore = 0, isDone = false; !isDone; holdBefore++) {
    const [one, two] = (await Promise.all(
      [0, 1].map(async () => await openSession(stage.one, (await stage.addUser('admin')).username))
    )) as [Pair, Pair]
    const revoke = (app: FastifyInstance, mine: Pair, other: Pair) =>
      send(app, 'POST', '/revocations', mine.access_token, { sid: claimsOf(other).sid })
    const first = stage.stepper.start('first', () => revoke(stage.one, one, two), holdBefore)
    isDone = !await first.held
    const second = stage.stepper.start('second', () => revoke(stage.two, two, one))
    await second.settles()
    first.release()
    t.same(
      [await first.answer, await second.answer].map(summarize).sort(),
      ['200', '401 token_revoked'],
      `held before step ${holdBefore}`
    )
  }
})
