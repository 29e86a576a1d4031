import t from 'tap'
import { outcome } from '../support/device.ts'
import { testFault } from '../support/fault.ts'
import { get, logOut, signIn } from '../support/people.ts'
import { logOutFor, startReplicas } from '../support/replicas.ts'
import { until } from '../support/wait.ts'

testFault(t, {
  fault: 'Redis is full (`maxmemory`, `noeviction`)',
  get: 'what they always get, but logouts: 503 `revocation_unavailable`, and they are recorded',
  within: 'as ever',
  never: '200 for a logout that Redis has refused to write, nor for what was logged out before',
  recovers: 'by itself, within 2 s of there being room; what was recorded is in effect then'
}, async t => {
  const { a, b, apps, redis, username, good, leaving } = await startReplicas(t)
  await logOutFor(t, a, leaving)
  const later = await signIn(a, username)
  await redis.admin.config('SET', 'maxmemory', '1')
  t.equal(outcome(await logOut(a, later)), '503 revocation_unavailable')
  t.equal(outcome(await logOut(a, later)), '503 revocation_unavailable', 'again')
  for (const app of apps) {
    t.equal(outcome(await get(app, '/token', good)), '200')
    t.equal(outcome(await get(app, '/token', leaving)), '401 token_revoked')
  }
  await redis.admin.config('SET', 'maxmemory', '0')
  await until('it is in effect', async () => (await get(b, '/token', later)).statusCode === 401, 2_500)
  t.equal(outcome(await get(a, '/token', later)), '401 token_revoked')
})
