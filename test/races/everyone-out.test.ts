import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { password, signIn, type Pair } from '../support/people.ts'
import { logOut, outcome, refresh, send } from '../support/requests.ts'
import { newPassword } from './race-acts.ts'
import { askBoth, setStage, type Stage } from './stage.ts'

/** A request that is under way when everyone is sent out. */
interface Act {
  run: (app: FastifyInstance, pair: Pair, username: string) => Promise<LightMyRequestResponse>
  /** The step before which it is held. */
  holdBefore: string
  /** The answer that it gets after that. */
  gets: string
}

const logIn: Act['run'] = (app, _, username) => send(app, 'POST /login', { body: { username, password } })

/** Acts of an owner, or of a thief. An access token for them was accepted before everyone was sent out. */
const acts: Record<string, Act> = {
  'a refresh': {
    run: (app, pair) => refresh(app, pair.refresh_token),
    holdBefore: 'select sessions for update',
    gets: '401 token_revoked'
  },
  'a reauthentication': {
    run: (app, { access_token: token }) => send(app, 'POST /reauthenticate', { token, body: { password } }),
    holdBefore: 'select sessions for update',
    gets: '401 token_revoked'
  },
  'a password change': {
    run: (app, { access_token: token }) =>
      send(app, 'PUT /me/password', { token, body: { current_password: password, new_password: newPassword } }),
    holdBefore: 'select sessions for update',
    gets: '401 token_revoked'
  },
  'a logout': { run: (app, pair) => logOut(app, pair.access_token), holdBefore: 'update sessions', gets: '200' },
  'a logout of the others': {
    run: (app, { access_token: token }) => send(app, 'POST /logout?scope=others', { token }),
    holdBefore: 'select sessions for update',
    gets: '401 token_revoked'
  },
  'a login that has read the clock': { run: logIn, holdBefore: 'insert sessions', gets: '200' }
}

/** Begins an act of a new user, and holds it. */
async function hold ({ one, stepper, addUser }: Stage, name: string, { run, holdBefore, gets }: Act) {
  const { id, username } = await addUser()
  const pair = await signIn(one, username)
  const flow = stepper.start(name, () => run(one, pair, username), holdBefore)
  return { name, gets, id, pairs: [pair], flow, isHeld: await flow.held }
}

t.test('what has begun when everyone is sent out leaves no session from before (P1, P5)', async t => {
  const stage = await setStage(t)
  const held = await Promise.all(Object.entries(acts).map(([name, act]) => hold(stage, name, act)))
  t.ok(held.every(({ isHeld }) => isHeld))
  await stage.two.revocationRequests.revoke({ everyone: true, reason: 'a test' }, {})
  for (const { name, gets, id, pairs, flow } of held) {
    flow.release()
    const answer = await flow.answer
    t.equal(outcome(answer), gets, name)
    if ('refresh_token' in answer.json()) pairs.push(answer.json())
    for (const pair of pairs) {
      t.equal(await askBoth(stage, pair.access_token), '401 token_revoked', name)
      t.equal(outcome(await refresh(stage.two, pair.refresh_token)), '401 token_revoked', name)
    }
    t.same(await stage.ask('select end_reason from sessions where user_id = $1', [id]), pairs.map(() => (
      { end_reason: null }
    )), `${name}: no other session, and no other end`)
  }
})

t.test('a login that has begun when everyone is sent out waits until it may open a session', async t => {
  const stage = await setStage(t)
  async function logInMeanwhile () {
    const { pairs, flow } = await hold(stage, 'a login', { run: logIn, holdBefore: 'clock', gets: '200' })
    await stage.two.revocationRequests.revoke({ everyone: true, reason: 'a test' }, {})
    flow.release()
    return { answer: await flow.answer, before: String(pairs[0]?.access_token) }
  }
  let scene = await logInMeanwhile()
  // The login may wait for two seconds. On a busy machine it can be held for longer.
  for (let again = 0; scene.answer.statusCode === 503 && again < 4; again++) scene = await logInMeanwhile()
  t.equal(outcome(scene.answer), '200')
  t.equal(await askBoth(stage, (scene.answer.json() as Pair).access_token), '200')
  t.equal(await askBoth(stage, scene.before), '401 token_revoked')
})
