import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { build, onEachStorage, serversEnv } from '../support/app.ts'
import { query, letTimePass, sessionRow } from '../support/database.ts'
import { register, signIn, signUp, type Pair } from '../support/people.ts'
import { expectError, logOut, refresh, send } from '../support/requests.ts'
import { ended, isAccepted, refusals, sessionIdOf } from '../support/sessions.ts'

/** Long enough for a slow machine. */
const settings = { REFRESH_GRACE: '60', REFRESH_REPEAT_MAX: '0' }

const renew = async (app: FastifyInstance, pair: Pair) => (await refresh(app, pair.refresh_token)).json() as Pair
const reuses = (app: FastifyInstance, pair: Pair) =>
  query(
    app,
    `select user_id, host(ip) as ip, count from security_events where type = 'refresh_token_reused' and session_id = '${sessionIdOf(pair)}'`
  )
const graceIsOver = (app: FastifyInstance, pair: Pair) =>
  query(app, `update sessions set rotated_at = rotated_at - interval '60 seconds' where id = '${sessionIdOf(pair)}'`)

t.test('a spent refresh token ends its session, unless it is in grace', t => onEachStorage(t, async (t, app) => {
  const { id, username } = await register(app)

  await t.test('a spent refresh token that is used again ends its whole session, and that is recorded', async t => {
    const first = await signIn(app, username)
    const other = await signIn(app, username)
    const second = await renew(app, first)
    await graceIsOver(app, first)
    const answer = await refresh(app, first.refresh_token)
    expectError(t, answer, 401, 'refresh_token_reused')
    t.equal(answer.headers['www-authenticate'], 'Bearer realm="signout"')
    t.same(await refusals(app, second), ended)
    t.notOk(await isAccepted(app, first))
    t.match(await sessionRow(app, sessionIdOf(first)), { end_reason: 'refresh_token_reused' })
    expectError(t, await refresh(app, first.refresh_token), 401, 'refresh_token_reused', 'and once more')
    t.same(await reuses(app, first), [{ user_id: id, ip: '127.0.0.1', count: 1 }], 'recorded once')
    t.ok(await isAccepted(app, other), 'another session goes on')
  })

  await t.test('a spent refresh token gets the same pair again within the grace', async t => {
    const first = await signIn(app, username)
    const second = await renew(app, first)
    const before = await sessionRow(app, sessionIdOf(first))
    for (let again = 0; again < 3; again++) {
      const repeated = await renew(app, first)
      t.equal(repeated.access_token, second.access_token)
      t.equal(repeated.refresh_token, second.refresh_token)
      t.ok(repeated.expires_in <= second.expires_in)
    }
    t.same(await sessionRow(app, sessionIdOf(first)), before, 'which renews nothing')
    t.equal(
      (
        await query(
          app, `select 1 from security_events where type = 'refresh' and session_id = '${sessionIdOf(first)}'`
        )
      ).length,
      1,
      'and is no further refresh'
    )
    t.ok(await isAccepted(app, second))
    t.equal((await refresh(app, second.refresh_token)).statusCode, 200)
  })

  await t.test('a spent refresh token has its grace by the clock of Postgres, to the second', async t => {
    const first = await signIn(app, username)
    const second = await renew(app, first)
    await query(
      app, `update sessions set rotated_at = rotated_at - interval '45 seconds' where id = '${sessionIdOf(first)}'`
    )
    t.equal((await renew(app, first)).refresh_token, second.refresh_token)
    await query(
      app, `update sessions set rotated_at = rotated_at - interval '15 seconds' where id = '${sessionIdOf(first)}'`
    )
    expectError(t, await refresh(app, first.refresh_token), 401, 'refresh_token_reused')
  })

  await t.test('a spent refresh token has no grace if it is older than the direct predecessor', async t => {
    const first = await signIn(app, username)
    const second = await renew(app, first)
    const third = await renew(app, second)
    expectError(t, await refresh(app, first.refresh_token), 401, 'refresh_token_reused')
    t.same(await refusals(app, third), ended)
  })

  await t.test('a spent refresh token has no grace once its session has ended', async t => {
    const first = await signIn(app, username)
    const second = await renew(app, first)
    await logOut(app, second.access_token)
    expectError(t, await refresh(app, first.refresh_token), 401, 'token_revoked')
    t.equal((await reuses(app, first)).length, 0, 'which may be another tab, and is not recorded')
  })

  await t.test('reuse after the grace is recorded even if the session was over, and counted in one row a minute', async t => {
    for (const over of [
      "ended_at = clock_timestamp(), end_reason = 'logout'",
      "expires_at = clock_timestamp() - interval '1 day', access_expires_at = clock_timestamp() - interval '1 day'"
    ]) {
      const first = await signIn(app, username)
      await renew(app, first)
      await query(app, `update sessions set ${over} where id = '${sessionIdOf(first)}'`)
      await graceIsOver(app, first)
      const use = [
        () => refresh(app, first.refresh_token),
        () => send(app, 'POST /logout', { body: { refresh_token: first.refresh_token } })
      ]
      for (let time = 0; time < 6; time++) t.equal((await use[time % 2]?.())?.statusCode, 401)
      const recorded = await reuses(app, first)
      t.ok(recorded.length === 1 || recorded.length === 2, 'one row, or two where a minute ended meanwhile')
      t.equal(
        recorded.reduce((sum, { count }) => sum + Number(count), 0), 6
      )
      t.same(recorded[0]?.['ip'], '127.0.0.1')
      await refresh(app, first.refresh_token.replace(/^./, 'A'))
      t.equal((await reuses(app, first)).length, recorded.length, 'what is no token of it is not')
    }
  })
}, settings))

t.test('the salt of a rotation is deleted when its grace is over, and when its session ends', t => onEachStorage(t, async (t, app) => {
  const { username } = await register(app)
  const saltOf = async (pair: Pair) => (await sessionRow(app, sessionIdOf(pair)))['rotation_salt'] as Uint8Array | null
  const session = await signIn(app, username)
  t.equal(await saltOf(session), null)
  const second = await renew(app, session)
  const salt = await saltOf(session)
  t.equal(salt?.length, 32)
  await app.janitor.tidyUp()
  t.same(await saltOf(session), salt, 'not within the grace')
  await letTimePass(app, 61)
  await app.janitor.tidyUp()
  t.equal(await saltOf(session), null)

  const third = await renew(app, second)
  t.notSame(await saltOf(session), salt, 'another one for another rotation')
  await logOut(app, third.access_token)
  t.equal(await saltOf(session), null)
}, settings))

t.test('without a grace, the second use of a refresh token is always reuse', async t => {
  const app = await build(t, { ...await serversEnv(t), REFRESH_GRACE: '0', REFRESH_REPEAT_MAX: '0' })
  const { pair: first } = await signUp(app)
  const second = await renew(app, first)
  t.equal((await sessionRow(app, sessionIdOf(first)))['rotation_salt'], null, 'nor is there a salt')
  expectError(t, await refresh(app, first.refresh_token), 401, 'refresh_token_reused')
  t.same(await refusals(app, second), ended)
})

t.test('reuse on one replica ends the session on every replica at once, and replicas share the grace', async t => {
  const env = { ...await serversEnv(t), ...settings }
  const [here, there] = [await build(t, env), await build(t, env)]
  const { pair: first } = await signUp(here)
  const second = await renew(there, first)
  t.equal((await renew(here, first)).refresh_token, second.refresh_token)
  t.ok(await isAccepted(there, second))
  await graceIsOver(here, first)
  expectError(t, await refresh(here, first.refresh_token), 401, 'refresh_token_reused')
  t.same(await refusals(there, second), ended)
  t.notOk(await isAccepted(there, first))
})
