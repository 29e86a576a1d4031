import t from 'tap'
import { onEachStorage, build, serversEnv, type Env } from '../support/app.ts'
import { readChanges, readMetrics } from '../support/metrics.ts'
import { password, register, signIn, signUp, signUpAdmin, signUpWithSessions } from '../support/people.ts'
import { get, logOut, refresh, send } from '../support/requests.ts'
import { sessionIdOf } from '../support/sessions.ts'
import { timed } from '../support/wait.ts'
import { decodeJwt } from 'jose'

const settings: Env = {
  RATE_LIMITS: 'off', REFRESH_GRACE: '0', REFRESH_REPEAT_MAX: '0', MAX_SESSIONS: '2', METRICS_TOKEN: 'a-token-for-tests'
}

t.test('token checks are counted by their result', async t => {
  await onEachStorage(t, async (t, app) => {
    const { sessions: [one, two] } = await signUpWithSessions(app, 2)
    const changes = await readChanges(app, 'signout_checks_total', async () => {
      await Promise.all([1, 2, 3].map(() => get(app, '/token', one?.access_token)))
      await logOut(app, String(two?.access_token))
      await get(app, '/token', two?.access_token)
      await get(app, '/token', 'no.valid.token')
    })
    t.same(changes, { 'signout_checks_total{result="accepted"}': 4, 'signout_checks_total{result="revoked"}': 1 })
  }, settings)
})

t.test('a look-up is measured once for all checks of one turn of the event loop', async t => {
  const app = await build(t, { ...await serversEnv(t), ...settings })
  const { username } = await register(app)
  const { access_token: token } = await signIn(app, username)
  const { value: changes = {}, elapsedMs } = await timed(() => readChanges(app, 'signout_lookup', async () => {
    await Promise.all(Array.from({ length: 20 }, () => app.verifyToken(token)))
    await app.verifyToken(token)
  }))
  t.equal(changes['signout_lookup_batch_size_sum'], 21, 'every check is in a batch')
  const batches = Number(changes['signout_lookup_batch_size_count'])
  t.ok(batches >= 2 && batches < 21, `${batches} batches`)
  t.equal(changes['signout_lookup_duration_seconds_count{result="answered"}'], batches)
  const seconds = Number(changes['signout_lookup_duration_seconds_sum{result="answered"}'])
  t.ok(seconds > 0 && seconds <= batches * elapsedMs / 1000, `${seconds} s of ${elapsedMs} ms`)
})

t.test('revocations are counted by scope and reason', async t => {
  const app = await build(t, { ...await serversEnv(t), ...settings })
  const admin = await signUpAdmin(app)
  const revocations = (work: () => Promise<unknown>) => readChanges(app, 'signout_revocations_total', work)
  const name = (scope: string, reason: string) => `signout_revocations_total{scope="${scope}",reason="${reason}"}`
  const ada = await signUp(app)
  const open = () => signIn(app, ada.username)

  t.same(await revocations(open), {}, 'signing in ends nothing')
  t.same(await revocations(open), { [name('session', 'too_many_sessions')]: 1 })
  const pair = await open()
  t.same(await revocations(() => logOut(app, pair.access_token)), {
    [name('session', 'logout')]: 1,
    [name('token', 'logout')]: 1
  })
  t.same(await revocations(() => logOut(app, pair.access_token)), {}, 'a repetition is none')

  const own = await open()
  t.same(await revocations(() => send(app, `DELETE /me/sessions/${sessionIdOf(own)}`, { token: own.access_token })), {
    [name('session', 'ended_by_owner')]: 1
  })
  const reused = await open()
  await refresh(app, reused.refresh_token)
  t.same(await revocations(() => refresh(app, reused.refresh_token)), { [name('session', 'refresh_token_reused')]: 1 })
  const [kept] = [await open(), await open()]
  const change = { current_password: password, new_password: `${password} 2` }
  t.same(
    await revocations(() => send(app, 'PUT /me/password', { token: kept.access_token, body: change })),
    { [name('session', 'password_changed')]: 2 }
  )

  const { jti } = decodeJwt(kept.access_token)
  t.same(await revocations(() => send(app, 'POST /revocations', { token: admin.token, body: { jti } })), {
    [name('token', 'token_revoked')]: 1
  })
  t.same(await revocations(() => send(app, `DELETE /users/${ada.id}/sessions`, { token: admin.token })), {
    [name('session', 'ended_by_admin')]: 1
  })
})

t.test('revocations by a change of an account are counted with that change as their reason', async t => {
  const app = await build(t, { ...await serversEnv(t), ...settings })
  const admin = await signUpAdmin(app)
  const endings: Record<string, (id: string, token: string) => Promise<unknown>> = {
    role_changed: id => send(app, `PUT /users/${id}/role`, { token: admin.token, body: { role: 'admin' } }),
    account_disabled: id => send(app, `PUT /users/${id}/status`, { token: admin.token, body: { status: 'disabled' } }),
    account_deleted: (_id, token) => send(app, 'DELETE /me', { token, body: { password } })
  }
  for (const [reason, end] of Object.entries(endings)) {
    const { id, sessions } = await signUpWithSessions(app, 2)
    const changes = await readChanges(app, 'signout_revocations_total', () =>
      end(id, String(sessions[0]?.access_token))
    )
    t.same(changes, { [`signout_revocations_total{scope="session",reason="${reason}"}`]: 2 })
  }
})

t.test('every metric but those of HTTP requests has a value before its first event', async t => {
  const app = await build(t, { ...await serversEnv(t), ...settings })
  const names = async () => [...(await readMetrics(app)).keys()].filter(name => /^signout_(?!http_)/.test(name))
  const before = await names()
  const { sessions: [pair] } = await signUpWithSessions(app, 2)
  await logOut(app, String(pair?.access_token))
  await get(app, '/token', pair?.access_token)
  t.same(await names(), before)
})
