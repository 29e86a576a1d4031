import t from 'tap'
import { testFault } from '../support/fault.ts'
import { password, signIn } from '../support/people.ts'
import { logOutFor, startReplicas } from '../support/replicas.ts'
import { get, logOut, outcome, send } from '../support/requests.ts'
import { sessionIdOf } from '../support/sessions.ts'
import { busyMs, until } from '../support/wait.ts'
import { redisRows } from './rows/redis.ts'

testFault(t, redisRows.full, async t => {
  const { a, apps, redis, username, good, leaving } = await startReplicas(t)
  await logOutFor(t, a, leaving)
  const { access_token: later } = await signIn(a, username)
  await redis.admin.config('SET', 'maxmemory', '1')
  t.equal(outcome(await logOut(a, later)), '503 revocation_unavailable')
  t.equal(outcome(await logOut(a, later)), '503 revocation_unavailable', 'again')
  for (const app of apps) {
    t.equal(outcome(await get(app, '/token', good)), '200')
    t.equal(outcome(await get(app, '/token', leaving)), '401 token_revoked')
  }
  await redis.admin.config('SET', 'maxmemory', '0')
  for (const app of apps) {
    let said = ''
    await until(
      'it is in effect',
      async () => (said = outcome(await get(app, '/token', later))) === '401 token_revoked',
      2_500 + busyMs
    )
    t.equal(said, '401 token_revoked')
  }
})

t.test('once a replica refuses a token by the record, none accepts it, even after an unconfirmed logout', async t => {
  const { a, b, redis, username } = await startReplicas(t)
  const other = await signIn(a, username)
  const attempts = {
    'DELETE /me/sessions/:id': (token: string) => send(a, `DELETE /me/sessions/${sessionIdOf(other)}`, { token }),
    'POST /logout?scope=others': (token: string) => send(a, 'POST /logout?scope=others', { token }),
    'PUT /me/password': (token: string) =>
      send(a, 'PUT /me/password', {
        token, body: { current_password: password, new_password: 'an entirely different one' }
      }),
    'DELETE /me': (token: string) => send(a, 'DELETE /me', { token, body: { password } })
  }
  for (const [name, attempt] of Object.entries(attempts)) {
    const { access_token: leaving } = await signIn(a, username)
    await redis.admin.config('SET', 'maxmemory', '1')
    t.equal(outcome(await logOut(a, leaving)), '503 revocation_unavailable')
    t.equal(outcome(await attempt(leaving)), '503 revocation_unavailable', `${name}, while that cannot be made known`)
    await redis.admin.config('SET', 'maxmemory', '0')
    t.equal(outcome(await attempt(leaving)), '401 token_revoked', name)
    t.equal(outcome(await get(b, '/token', leaving)), '401 token_revoked')
  }
  t.equal(outcome(await get(b, '/token', other.access_token)), '200')
})
