import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { shareStorages } from '../support/app.ts'
import { query } from '../support/database.ts'
import { password, signUp, type Pair } from '../support/people.ts'
import { outcome, send } from '../support/requests.ts'
import { sessionIdOf } from '../support/sessions.ts'
import { until } from '../support/wait.ts'
import { deviceWith, signInWith, type Device } from './device.ts'

// The thief sends more than a person may, and refreshes without pause.
const storages = shareStorages(t, { RATE_LIMITS: 'off' })

/** A thief who ends all other sessions again and again, and refreshes when that is refused. */
interface Thief {
  outcomes: Set<string>
  /** Resolves when the thief is out: no access token and no refresh token is accepted. */
  isOut: Promise<void>
}

function startThief (thief: Device): Thief {
  const outcomes = new Set<string>()
  async function strike (): Promise<void> {
    for (;;) {
      // A request over the network lets others come in between. An injected one need not, in embedded mode.
      await turn()
      const ended = outcome(await thief.send('POST /logout?scope=others'))
      outcomes.add(ended)
      if (ended === '200') continue
      const refreshed = await thief.refresh()
      if (refreshed !== '200') return
    }
  }
  return { outcomes, isOut: strike() }
}

async function age (app: FastifyInstance, pair: Pair): Promise<void> {
  await query(
    app,
    `update sessions set created_at = created_at - interval '11 minutes' where id = '${sessionIdOf(pair)}'`
  )
}

/** The owner signs in again, and ends all other sessions, until that is answered. */
async function reclaim (app: FastifyInstance, username: string): Promise<Device> {
  const answer = await send(app, 'POST /login', { body: { username, password, end_other_sessions: true } })
  if (answer.statusCode !== 200) throw new Error(`The owner cannot sign in: ${answer.body}`)
  return deviceWith(app, answer.json())
}

for (const isFresh of [false, true]) {
  const kind = isFresh ? 'freshly stolen' : 'stolen'
  t.test(`P8: an owner with the password beats a thief who loops with a ${kind} session`, t => storages(t, async (t, app) => {
    const { username } = await signUp(app)
    const stolen = await signInWith(app, 'laptop', username)
    if (!isFresh) await age(app, stolen.tokens)
    const thief = startThief(deviceWith(app, stolen.tokens))
    await until('the thief has struck', () => thief.outcomes.size > 0)
    // The owner is thrown out, or not, and signs in once.
    await signInWith(app, 'phone', username)
    const owner = await reclaim(app, username)
    await thief.isOut
    t.equal(thief.outcomes.has('200'), isFresh, 'within ten minutes of the login, a thief can end others')
    t.ok([...thief.outcomes].some(said => said.startsWith('401')))
    t.equal(await owner.open('/me'), '200', 'but never the new login of the owner')
    t.equal(await owner.refresh(), '200')
    for (const how of [stolen.open('/me'), stolen.refresh()]) t.match(await how, /^401 /, 'the thief is out for good')
    t.equal(outcome(await owner.send('POST /logout?scope=others')), '200')
  }))
}

t.test('P8: a thief with a fresh session cannot take the password, or lock the owner out', t => storages(t, async (t, app) => {
  const { username } = await signUp(app)
  const stolen = await signInWith(app, 'laptop', username)
  const guess = 'what the thief guesses it is'
  const own = 'a pass phrase of the thief'
  t.equal(
    outcome(await stolen.send('PUT /me/password', { current_password: guess, new_password: own })),
    '403 invalid_credentials'
  )
  t.equal(outcome(await stolen.send('POST /reauthenticate', { password: guess })), '403 invalid_credentials')
  t.equal(outcome(await stolen.send('DELETE /me', { password: guess })), '403 invalid_credentials')
  const owner = await reclaim(app, username)
  t.equal(await owner.open('/me'), '200')
  t.match(await stolen.open('/me'), /^401 /)
}))

t.test('P8: a password change throws out a thief who shares the very session', t => storages(t, async (t, app) => {
  const { username } = await signUp(app)
  const owner = await signInWith(app, 'laptop', username)
  const thief = deviceWith(app, { ...owner.tokens })
  const changed = await owner.send('PUT /me/password', { current_password: password, new_password: `${password} 2` })
  t.equal(outcome(changed), '200')
  t.equal(await thief.open('/me'), '401 token_revoked')
  t.equal(await thief.refresh(), '401 token_revoked')
  t.equal(await deviceWith(app, changed.json()).open('/me'), '200')
}))
