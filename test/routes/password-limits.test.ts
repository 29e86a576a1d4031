import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { onEachStorage } from '../support/app.ts'
import { query } from '../support/database.ts'
import { password, register, signIn, signUp, signUpWithSessions, type Pair } from '../support/people.ts'
import { get, refresh, send } from '../support/requests.ts'

const wrong = 'not the right password'
const newPassword = 'a wholly different pass phrase'
const change = (app: FastifyInstance, pair: Pair, current: string, next = newPassword) =>
  send(app, 'PUT /me/password', { token: pair.access_token, body: { current_password: current, new_password: next } })
const remove = (app: FastifyInstance, pair: Pair, password: string) =>
  send(app, 'DELETE /me', { token: pair.access_token, body: { password } })

/** Counts the wrong passwords that are recorded for a user. */
async function countFailures (app: FastifyInstance, userId: string): Promise<number> {
  const [row] = await query<{ count: number }>(
    app,
    `select coalesce(sum(count), 0)::int as count from security_events where type like '%failed' and user_id = '${userId}'`
  )
  return row?.count ?? NaN
}

t.test('PUT /me/password and DELETE /me count wrong passwords together with POST /login', t => onEachStorage(t, async (t, app) => {
  for (const [name, act] of Object.entries({ 'PUT /me/password': change, 'DELETE /me': remove })) {
    const { id, username, pair: mine } = await signUp(app)
    for (let time = 0; time < 3; time++) {
      t.equal((await act(app, mine, wrong)).statusCode, 403, `${name}: a wrong one is one attempt`)
    }
    t.equal(await countFailures(app, id), 3, 'and one failure')
    for (const typed of [wrong, password]) {
      const answer = await act(app, mine, typed)
      t.equal(answer.statusCode, 429, name)
      t.equal(answer.headers['ratelimit-policy'], '"password-by-account-and-ip";q=3;w=900')
      t.match(answer.headers['retry-after'], /^(900|8\d\d)$/)
    }
    t.equal(await countFailures(app, id), 3, 'what was refused was not checked')
    t.equal((await send(app, 'POST /login', { body: { username, password } })).statusCode, 429, 'a login neither')
  }
}, { LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '3/900' }))

t.test('a password change that succeeds, or is repeated, does not count against a limit', t => onEachStorage(t, async (t, app) => {
  const { id, username } = await register(app)
  const first = await signIn(app, username)
  let mine = first
  for (let time = 0; time < 4; time++) {
    const answer = await change(app, first, password)
    t.equal(answer.statusCode, 200)
    mine = answer.json()
  }
  t.equal(await countFailures(app, id), 0)
  for (let time = 0; time < 2; time++) {
    t.equal((await change(app, mine, wrong, 'and a third pass phrase')).statusCode, 403)
  }
  t.equal(
    (await change(app, mine, wrong, newPassword)).statusCode,
    429,
    'nor is the present one found by calling it the new one, beyond the limit'
  )
}, { LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '2/900' }))

t.test('POST /refresh is 429 after too many refreshes of one session', t => onEachStorage(t, async (t, app) => {
  const { sessions } = await signUpWithSessions(app, 2)
  let [mine, other] = sessions as [Pair, Pair]
  for (let time = 0; time < 3; time++) mine = (await refresh(app, mine.refresh_token)).json()
  const answer = await refresh(app, mine.refresh_token)
  t.equal(answer.statusCode, 429)
  t.equal(answer.json().error, 'too_many_requests')
  t.equal(answer.headers['ratelimit-policy'], '"refresh-by-session";q=3;w=600')
  t.equal((await get(app, '/token', mine.access_token)).statusCode, 200, 'its access token is good')
  other = (await refresh(app, other.refresh_token)).json()
  t.ok(other.access_token, 'and so is the other session')
}, { LIMIT_REFRESH_BY_SESSION: '3/600' }))

t.test('one account cannot fill the tables with right logins', t => onEachStorage(t, async (t, app) => {
  const { id, username } = await register(app)
  const login = (typed = password) => send(app, 'POST /login', { body: { username, password: typed } })
  // As 199 logins would. Each of them takes long.
  for (let time = 0; time < 199; time++) await app.limits.login(id)
  const statuses: number[] = []
  for (let time = 0; time < 4; time++) statuses.push((await login()).statusCode)
  t.same(statuses, [200, 429, 429, 429])
  t.match((await login()).headers, { 'ratelimit-policy': '"login-by-account";q=200;w=3600' })
  t.equal((await login(wrong)).statusCode, 401, 'a wrong password is still called wrong')
  await signUp(app)
}))

t.test('a right password counts wherever it opens a session, and not where it ends some', t => onEachStorage(t, async (t, app) => {
  const { pair } = await signUp(app)
  const again = await send(app, 'POST /reauthenticate', { token: pair.access_token, body: { password } })
  const changed = await change(app, again.json(), password)
  t.same([again.statusCode, changed.statusCode], [200, 200])
  const mine: Pair = changed.json()
  const body = { password: newPassword }
  const refused = await send(app, 'POST /reauthenticate', { token: mine.access_token, body })
  t.match(refused.headers, { 'ratelimit-policy': '"login-by-account";q=3;w=3600' })
  t.equal((await change(app, mine, newPassword)).statusCode, 429)
  t.equal((await send(app, 'POST /logout?scope=all', { token: mine.access_token, body })).statusCode, 200)
}, { LIMIT_LOGIN_BY_ACCOUNT: '3/3600' }))

t.test('tokens of a session that is over use up no refreshes of its account', t => onEachStorage(t, async (t, app) => {
  const { sessions } = await signUpWithSessions(app, 3)
  const [mine, ...stolen] = sessions as [Pair, Pair, Pair]
  for (const { access_token: token, refresh_token: spent } of stolen) {
    await send(app, 'POST /logout', { token })
    for (let time = 0; time < 2; time++) t.equal((await refresh(app, spent)).statusCode, 401)
  }
  t.equal((await refresh(app, mine.refresh_token)).statusCode, 200)
}, { LIMIT_REFRESH_BY_SESSION: '2/600', LIMIT_REFRESH_BY_ACCOUNT: '3/600' }))
