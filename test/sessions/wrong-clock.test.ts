import t, { type Test } from 'tap'
import { build, serversEnv } from '../support/app.ts'
import { query } from '../support/database.ts'
import { password, signIn, signUp, type Pair } from '../support/people.ts'
import { get, logOut, outcome, refresh, send } from '../support/requests.ts'
import { sessionIdOf } from '../support/sessions.ts'
import { until } from '../support/wait.ts'

/** A replica whose clock can be set, in seconds ahead of those of Redis and Postgres. */
async function replica (t: Test) {
  const clock = { aheadSeconds: 0 }
  const { now } = Date
  // Before the replica is built, which takes the clock as it is then.
  Date.now = () => now() + clock.aheadSeconds * 1000
  t.teardown(() => { Date.now = now })
  const app = await build(t, { ...await serversEnv(t), RATE_LIMITS: 'off' })
  return { app, clock, username: (await signUp(app)).username }
}

t.test('a clock that is set is noticed before a token is checked by it, and before one is issued', async t => {
  const { app, clock, username } = await replica(t)
  const credentials = { username, password }
  const renamed = { current_password: password, new_password: `${password}!` }
  const acts: Record<string, [expected: string, act: (pair: Pair) => ReturnType<typeof get>]> = {
    'a request with a token': ['503 revocation_unavailable', pair => get(app, '/token', pair.access_token)],
    'a logout': ['200', pair => logOut(app, pair.access_token)],
    'an ending by an administrator': [
      '503 revocation_unavailable', pair => send(app, 'POST /revocations', { token: pair.access_token, body: {} })
    ],
    'a login': ['503 service_unavailable', () => send(app, 'POST /login', { body: credentials })],
    'a refresh': ['503 service_unavailable', pair => refresh(app, pair.refresh_token)],
    'a new password': [
      '503 revocation_unavailable', pair => send(app, 'PUT /me/password', { token: pair.access_token, body: renamed })
    ],
    'no token': ['401 authorization_required', () => get(app, '/token')],
    'a forged token': ['401 invalid_token', pair => get(app, '/token', `${pair.access_token.slice(0, -8)}AAAAAAAA`)],
    'a text as a refresh token': ['401 invalid_token', () => refresh(app, 'none')],
    'a logout with a refresh token': [
      '200', pair => send(app, 'POST /logout', { body: { refresh_token: pair.refresh_token } })
    ]
  }
  for (const seconds of [3_600, -3_600]) {
    for (const [name, [expected, act]] of Object.entries(acts)) {
      const pair = await signIn(app, username)
      await get(app, '/token', pair.access_token)
      clock.aheadSeconds = seconds
      const answer = await act(pair)
      t.equal(outcome(answer), expected, `${name}, ${seconds} s`)
      if (answer.statusCode === 503) t.ok(answer.headers['retry-after'], name)
      clock.aheadSeconds = 0
    }
  }
})

t.test('a token is not refused by a clock that is set right while the token is judged', async t => {
  const { app, clock, username } = await replica(t)
  const { clocks } = app
  const { findFault, findRecentFault } = clocks
  const setRight = () => { clock.aheadSeconds = 0 }
  clocks.findFault = () => { setRight(); return findFault() }
  clocks.findRecentFault = () => { setRight(); return findRecentFault() }
  for (const seconds of [3_600, -3_600]) {
    const { access_token: token } = await signIn(app, username)
    clock.aheadSeconds = seconds
    findFault()
    t.equal(outcome(await get(app, '/token', token)), '503 revocation_unavailable', `${seconds} s`)
    t.equal(clock.aheadSeconds, 0, 'it was set right meanwhile')
    await until('it accepts the token', async () => (await get(app, '/token', token)).statusCode === 200)
  }
})

t.test('an expired refresh token is 503 while the clock may be wrong, and 401 only afterwards', async t => {
  const { app, clock, username } = await replica(t)
  const pair = await signIn(app, username)
  await query(
    app, `update sessions set expires_at = clock_timestamp() - interval '1 second' where id = '${sessionIdOf(pair)}'`
  )
  const logOutAll = () => send(app, 'POST /logout?scope=all', { body: { refresh_token: pair.refresh_token } })
  clock.aheadSeconds = 8
  t.equal(outcome(await logOutAll()), '503 service_unavailable')
  t.equal(outcome(await refresh(app, pair.refresh_token)), '503 service_unavailable')
  clock.aheadSeconds = 0
  t.equal(outcome(await logOutAll()), '401 token_expired')
  t.equal(outcome(await refresh(app, pair.refresh_token)), '401 token_expired')
})

t.test('a login issues nothing if the clock is set while the password is hashed', async t => {
  const { app, clock, username } = await replica(t)
  const { run } = app.database
  app.database.run = query => {
    // The user is looked for before the password is checked.
    clock.aheadSeconds = 3_600
    return run(query)
  }
  t.equal(outcome(await send(app, 'POST /login', { body: { username, password } })), '503 service_unavailable')
  app.database.run = run
  clock.aheadSeconds = 0
  t.equal((await query(app, 'select 1 from sessions')).length, 1, 'the session of before')
})
