import t from 'tap'
import { createTestBlocklist, createTestClock, createTestTokens } from '../../../plugins/auth/testing.ts'
import { get } from '../../support/requests.ts'
import { nowSeconds } from '../../support/tokens.ts'
import { bareApp, secret } from './bare-app.ts'

t.test('a test can stall, lose and delay the blocklist, and let it recover', async t => {
  const blocklist = createTestBlocklist({ deadlineMs: 2_000, maxTokenLifetimeSeconds: 900 })
  const tokens = createTestTokens({ secret })
  const { app, statusOf } = await bareApp(t, { blocklist })
  const token = tokens.issue({ sub: 'ada' })
  t.equal(await statusOf(token), 200)
  blocklist.lose()
  t.equal(await statusOf(token), 503)
  await t.rejects(app.revokeSubject('ada'), { code: 'revocation_unavailable' })
  await t.rejects(blocklist.ping(), /lost its connection/)
  blocklist.delay(1)
  t.equal(await statusOf(token), 200, 'late, and within the deadline')
  blocklist.recover()
  await app.revokeSubject('ada')
  t.equal(await statusOf(token), 401)
  const hasty = createTestBlocklist({ deadlineMs: 1 })
  const { statusOf: statusOfHasty } = await bareApp(t, { blocklist: hasty })
  hasty.stall()
  t.equal(await statusOfHasty(token), 503)
  hasty.recover()
  t.equal(await statusOfHasty(token), 200)
  t.throws(() => { blocklist.delay(-1) }, { name: 'TypeError', message: /delayMs is -1/ })
})

t.test('a test blocklist needs no promise unless it was made to fail', async t => {
  const blocklist = createTestBlocklist()
  const claims = { jti: 'a', iat: nowSeconds() }
  t.equal(blocklist.isRevoked(claims), false)
  await blocklist.revoke([{ scope: 'token', id: 'a', expiresAt: nowSeconds() + 60 }])
  t.equal(blocklist.isRevoked(claims), true)
})

t.test('the factory makes tokens with any claims, right or wrong', async t => {
  const tokens = createTestTokens({ secret, claims: { iss: 'me', sub: 'ada' }, lifetimeSeconds: 60 })
  const { app, statusOf } = await bareApp(t)
  const claims = await app.verifyToken(tokens.issue())
  t.match(claims, { iss: 'me', sub: 'ada', jti: /-/, sid: /-/ })
  t.equal(claims.exp - Number(claims.iat), 60)
  t.match(await app.verifyToken(tokens.issue({ sub: 'grace', sid: undefined })), { sub: 'grace', sid: undefined })
  t.equal(await statusOf(tokens.issue({ jti: undefined })), 401)
  t.equal((await app.inject({ url: '/me', headers: tokens.headers({ exp: 1 }) })).statusCode, 401)
  t.equal((await app.inject({ url: '/me', headers: tokens.headers() })).statusCode, 200)
  t.throws(() => createTestTokens({} as never), { name: 'TypeError', message: /secret is undefined/ })
  t.throws(() => createTestTokens({ secret, lifetimeSeconds: 0 }), { message: /lifetimeSeconds is 0/ })
})

t.test('a test clock moves the expiry of tokens and of revocations, and gives the time back', async t => {
  const realNow = Date.now
  const clock = createTestClock()
  t.teardown(() => { clock.restore() })
  const { app } = await bareApp(t, { blocklist: createTestBlocklist({ leewaySeconds: 0 }) })
  const token = createTestTokens({ secret }).issue()
  const statusOf = async () => (await get(app, '/me', token)).statusCode
  t.throws(() => createTestClock(), /Another test clock is in place/)
  t.equal(await statusOf(), 200)
  // `iat` is a whole second, and the real clock goes on.
  clock.advanceSeconds(880)
  t.equal(await statusOf(), 200)
  clock.advanceSeconds(30)
  t.equal(await statusOf(), 401)
  t.match((await get(app, '/me', token)).json(), { code: 'token_expired' })
  clock.advanceSeconds(-910)
  t.equal(await statusOf(), 200)
  t.ok(Math.abs(clock.now() - realNow()) < 60_000)
  clock.restore()
  t.equal(Date.now, realNow)
  t.throws(() => { clock.advanceSeconds(NaN) }, { name: 'TypeError' })
})

t.test('a login that waits for ready() works with the blocklist for tests, and gets 503 while it is lost', async t => {
  const blocklist = createTestBlocklist()
  await blocklist.ready?.()
  blocklist.lose()
  await t.rejects(blocklist.ready?.() ?? Promise.resolve())
})
