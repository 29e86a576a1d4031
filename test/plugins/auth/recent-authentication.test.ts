import t from 'tap'
import { createMemoryBlocklist } from '../../../plugins/auth/auth.ts'
import { get, outcome } from '../../support/requests.ts'
import { nowSeconds } from '../../support/tokens.ts'
import { bareApp, sign } from './bare-app.ts'

const leewaySeconds = 60
const claims = (authTime: unknown) => ({
  jti: `token-${String(authTime)}`,
  exp: nowSeconds() + 60,
  ...authTime !== undefined && { auth_time: authTime }
})

t.test('app.requireRecentAuthentication lets a token through whose login was recent', async t => {
  const { app } = await bareApp(t, { blocklist: createMemoryBlocklist({ leewaySeconds, deadlineMs: 5_000 }) })
  const recent = app.requireRecentAuthentication({ maxAgeSeconds: 300 })
  app.get('/alone', { onRequest: recent }, async request => request.user)
  app.get('/after', { onRequest: [app.authenticate, recent] }, async request => request.user)
  const now = nowSeconds()
  for (const path of ['/alone', '/after']) {
    for (const authTime of [now, now - 270, now - 330, now + 30]) {
      t.equal(outcome(await get(app, path, sign(claims(authTime)))), '200', `${path}, ${authTime - now}`)
    }
    for (const authTime of [now - 400, now + 300, 0, undefined, null, String(now), now * 1000, [now]]) {
      const answer = await get(app, path, sign(claims(authTime)))
      t.equal(answer.statusCode, 401, `${path}, ${authTime}`)
      t.equal(answer.json().code, 'insufficient_user_authentication')
      t.equal(
        answer.headers['www-authenticate'],
        'Bearer realm="signout", error="insufficient_user_authentication", ' +
          'error_description="The login was too long ago. Sign in again.", max_age="300"'
      )
    }
  }
})

t.test('app.requireRecentAuthentication lets nothing through that is not authenticated', async t => {
  const { app } = await bareApp(t)
  app.get('/alone', { onRequest: app.requireRecentAuthentication({ maxAgeSeconds: 300 }) }, async () => 'in')
  t.equal((await get(app, '/alone')).statusCode, 401)
  t.equal((await get(app, '/alone', sign(claims(nowSeconds()), 'another secret'))).statusCode, 401)
  await app.revoker.revoke([{ scope: 'token', id: 'token-revoked', expiresAt: nowSeconds() + 60 }])
  const revoked = await get(app, '/alone', sign({ ...claims(nowSeconds()), jti: 'token-revoked' }))
  t.equal(revoked.statusCode, 401)
})

t.test('app.requireRecentAuthentication refuses a wrong option when the route is made', async t => {
  const { app } = await bareApp(t)
  for (const maxAgeSeconds of [undefined, 0, -1, 1.5, '300', NaN, Infinity, null]) {
    const make = () => app.requireRecentAuthentication({ maxAgeSeconds } as never)
    t.throws(make, { message: /^The option maxAgeSeconds is .* from 1\.$/ })
  }
  t.throws(() => app.requireRecentAuthentication(undefined as never), TypeError)
})
