import { decodeJwt } from 'jose'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { testFault } from '../support/fault.ts'
import { password, signIn, signUpAdmin, signUpWithSessions, type Pair } from '../support/people.ts'
import { expectNeverAccepted, proxied, startReplicas, untilAccepted } from '../support/replicas.ts'
import { onPostgres } from '../support/record.ts'
import { ownRedis } from '../support/redis-server.ts'
import { get, logOut, outcome, send } from '../support/requests.ts'
import { claimsOf, sessionIdOf } from '../support/sessions.ts'
import { busyMs, timed, until } from '../support/wait.ts'
import { redisRows } from './rows/redis.ts'

interface Victim { id: string, username: string, own: Pair, other: Pair }

/** The body of a change of the password. */
const change = { current_password: password, new_password: 'an entirely different one' }

/** The requests that end sessions or revoke tokens, and the sessions whose tokens are refused afterwards. */
const endings: Record<
  string,
  {
    end: (app: FastifyInstance, victim: Victim, admin: string) => ReturnType<typeof get>, ended: Array<'own' | 'other'>
  }
> = {
  'POST /logout': { end: (app, { own }) => logOut(app, own.access_token), ended: ['own'] },
  'POST /logout?scope=all': {
    end: (app, { own }) => send(app, 'POST /logout?scope=all', { token: own.access_token }), ended: ['own', 'other']
  },
  'POST /logout?scope=others': {
    end: (app, { own }) => send(app, 'POST /logout?scope=others', { token: own.access_token }), ended: ['other']
  },
  'POST /logout with a refresh token': {
    end: (app, { own }) => send(app, 'POST /logout', { body: { refresh_token: own.refresh_token } }), ended: ['own']
  },
  'DELETE /me/sessions/:id': {
    end: (app, { own, other }) => send(app, `DELETE /me/sessions/${sessionIdOf(other)}`, { token: own.access_token }),
    ended: ['other']
  },
  'PUT /me/password': {
    end: (app, { own }) => send(app, 'PUT /me/password', { token: own.access_token, body: change }),
    ended: ['own', 'other']
  },
  'DELETE /me': {
    end: (app, { own }) => send(app, 'DELETE /me', { token: own.access_token, body: { password } }),
    ended: ['own', 'other']
  },
  'DELETE /users/:id/sessions': {
    end: (app, { id }, admin) => send(app, `DELETE /users/${id}/sessions`, { token: admin }), ended: ['own', 'other']
  },
  'PUT /users/:id/role': {
    end: (app, { id }, admin) => send(app, `PUT /users/${id}/role`, { token: admin, body: { role: 'admin' } }),
    ended: ['own', 'other']
  },
  'PUT /users/:id/status': {
    end: (app, { id }, admin) => send(app, `PUT /users/${id}/status`, { token: admin, body: { status: 'disabled' } }),
    ended: ['own', 'other']
  },
  'DELETE /users/:id': {
    end: (app, { id }, admin) => send(app, `DELETE /users/${id}`, { token: admin }), ended: ['own', 'other']
  },
  'POST /revocations of a session': {
    end: (app, { own }, admin) => send(app, 'POST /revocations', { token: admin, body: { sid: sessionIdOf(own) } }),
    ended: ['own']
  },
  'POST /revocations of a token': {
    end: (app, { own }, admin) =>
      send(app, 'POST /revocations', { token: admin, body: { jti: claimsOf(own).jti } }),
    ended: ['own']
  }
}

testFault(t, redisRows.revokingWhileDown, async t => {
  const { a, apps, redis, good } = await startReplicas(t)
  const admin = (await signUpAdmin(a)).token
  const victims = new Map<string, Victim>()
  for (const name of Object.keys(endings)) {
    const { id, username, sessions } = await signUpWithSessions(a, 2)
    const [own, other] = sessions as [Pair, Pair]
    victims.set(name, { id, username, own, other })
  }
  await redis.kill()
  for (const [name, { end }] of Object.entries(endings)) {
    for (const attempt of ['', ', again']) {
      const answer = await end(a, victims.get(name) as Victim, admin)
      t.equal(outcome(answer), '503 revocation_unavailable', name + attempt)
      t.equal(answer.headers['retry-after'], '1')
    }
  }
  await redis.start()
  const startedAt = performance.now()
  await untilAccepted(apps, good)
  const expected = Object.entries(endings).flatMap(([name, { ended }]) =>
    (['own', 'other'] as const).map(
      which => `${name}, ${which}: ${ended.includes(which) ? '401 token_revoked' : '200'}`
    )
  )
  for (const app of apps) {
    const said: string[] = []
    for (const [name, victim] of victims) {
      for (const which of ['own', 'other'] as const) {
        said.push(`${name}, ${which}: ${outcome(await get(app, '/token', victim[which].access_token))}`)
      }
    }
    t.same(said, expected, 'nobody has tried again')
  }
  const elapsedMs = performance.now() - startedAt
  t.ok(elapsedMs < 4_000 + busyMs, `all of it was asked within ${Math.round(elapsedMs)} ms`)
})

testFault(t, redisRows.backAfterLogout, async t => {
  const replicas = await startReplicas(t)
  const { a, b, redis, leaving } = replicas
  await redis.kill()
  t.equal(outcome(await logOut(a, leaving)), '503 revocation_unavailable')
  // Long enough for the delay between two attempts to reconnect to reach its maximum.
  await new Promise(resolve => setTimeout(resolve, 3_000))
  await expectNeverAccepted(t, replicas, leaving, async () => {
    await redis.start()
    const { elapsedMs } = await timed(() => untilAccepted(replicas.apps, replicas.good))
    t.ok(elapsedMs < 2_000 + 500 + busyMs, `after ${Math.round(elapsedMs)} ms`)
  })
  for (const app of [a, b]) {
    const again = await logOut(app, leaving)
    t.equal(outcome(again), '401 token_revoked', 'trying again says that it took effect')
    t.match(again.headers['www-authenticate'], 'invalid_token')
  }
})

t.test('in an outage a revoked token or a former administrator can end nothing but an own session', async t => {
  const { a, env, redis, username, userId, leaving } = await startReplicas(t)
  const admin = await signUpAdmin(a)
  const demoted = await signUpAdmin(a)
  const other = sessionIdOf(await signIn(a, username))
  t.equal((await send(a, 'POST /revocations', { token: admin.token, body: { token: leaving } })).statusCode, 200)
  const demotion = await send(a, `PUT /users/${demoted.id}/role`, { token: admin.token, body: { role: 'user' } })
  t.equal(demotion.statusCode, 200)
  const { access_token: later } = await signIn(a, demoted.username)
  await redis.kill()

  const attempts = {
    'a token revoked alone, POST /logout?scope=all': await send(a, 'POST /logout?scope=all', { token: leaving }),
    'a token revoked alone, DELETE /me/sessions/:id': await send(a, `DELETE /me/sessions/${other}`, { token: leaving }),
    'a token revoked alone, PUT /me/password': await send(a, 'PUT /me/password', { token: leaving, body: change }),
    'a token revoked alone, DELETE /me': await send(a, 'DELETE /me', { token: leaving, body: { password } }),
    'a demoted administrator, DELETE /users/:id': await send(a, `DELETE /users/${userId}`, { token: demoted.token }),
    'a demoted administrator, PUT /users/:id/role': await send(a, `PUT /users/${demoted.id}/role`, {
      token: demoted.token, body: { role: 'admin' }
    }),
    'a demoted administrator, POST /revocations': await send(a, 'POST /revocations', {
      token: demoted.token, body: { subject: userId }
    }),
    'a token that was forged': await logOut(a, `${leaving.slice(0, -8)}AAAAAAAA`)
  }
  // A 401 `token_revoked` must hold on every replica, which needs a Redis that accepts writes.
  const expected = (name: string) => name.includes('forged') ? '401 invalid_token' : '503 revocation_unavailable'
  for (const [name, answer] of Object.entries(attempts)) t.equal(outcome(answer), expected(name), name)
  const withLater = await send(a, `DELETE /users/${userId}`, { token: later })
  t.equal(outcome(withLater), '403 forbidden', 'a token from after the demotion cannot do it either')
  const count = () => onPostgres<{ live: number, admins: number }>(
    env,
    `select (select count(*)::int from sessions where user_id = '${userId}' and ended_at is null) as live,
    (select count(*)::int from users where role = 'admin') as admins`
  )
  t.same(await count(), [{ live: 3, admins: 1 }], 'nothing has happened')
  t.equal(outcome(await logOut(a, leaving)), '503 revocation_unavailable')
  t.same(await count(), [{ live: 2, admins: 1 }], 'the own session of the revoked token has ended')
})

t.test('once the record refuses a token, every replica refuses it', async t => {
  const redis = await ownRedis(t)
  const { proxy, env } = await proxied(t, { REDIS_URL: redis.url }, 'REDIS_URL')
  const { a, b, leaving, ...replicas } = await startReplicas(t, env, { REDIS_URL: redis.url })
  const { jti } = decodeJwt(leaving)
  // The row must not reach Redis. So there is no projector, and no replica writes the entry.
  await until('nobody else is the projector', async () =>
    (
      await onPostgres(
        replicas.env,
        "update projector_lease set holder = gen_random_uuid(), held_until = now() + interval '1 hour' returning holder"
      )
    ).length === 1)
  await onPostgres(
    replicas.env,
    `insert into revocations (scope, id, expires_at, reason, created_at) values ('token', '${jti}', now() + interval '1 hour', 'token_revoked', now())`
  )
  proxy.reset()
  // Its session lives, and `token_revoked` would say that it does not.
  await until(
    'one replica refuses it by the record',
    async () => outcome(await send(a, 'POST /logout?scope=all', { token: leaving })) === '401 invalid_token'
  )
  t.not(outcome(await get(b, '/token', leaving)), '200', 'and the other one, which trusts what it has in Redis')
})

t.test('after a logout, neither token can end another session, also in an outage', async t => {
  const { a, env, redis } = await startReplicas(t)
  const { id, sessions } = await signUpWithSessions(a, 2)
  const [own, other] = sessions as [Pair, Pair]
  t.equal((await logOut(a, own.access_token)).statusCode, 200)
  const withRefreshToken = () => send(a, 'POST /logout?scope=all', { body: { refresh_token: own.refresh_token } })
  t.equal(outcome(await withRefreshToken()), '401 token_revoked')
  t.equal(outcome(await get(a, '/token', other.access_token)), '200')
  await redis.kill()
  for (const answer of [
    await send(a, 'POST /logout?scope=all', { token: own.access_token }),
    await send(a, `DELETE /me/sessions/${sessionIdOf(other)}`, { token: own.access_token }),
    await withRefreshToken()
  ]) {
    t.equal(outcome(answer), '503 revocation_unavailable')
  }
  const live = await onPostgres<{ id: string }>(
    env, `select id from sessions where user_id = '${id}' and ended_at is null`
  )
  t.same(live.map(({ id }) => id), [sessionIdOf(other)])
})
