import t from 'tap'
import { build, serversEnv } from '../support/app.ts'
import { signIn, signUp } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { get, logOut, outcome, refresh, send } from '../support/requests.ts'
import { expire } from '../support/sessions.ts'
import { until } from '../support/wait.ts'

t.test('P4: a logout during an outage is not lost', async t => {
  const redis = await ownRedis(t)
  const env = { ...await serversEnv(t), REDIS_URL: redis.url, RATE_LIMITS: 'off' }
  const a = await build(t, env)
  const b = await build(t, env)
  const ada = await signUp(a, 'ada')
  const { access_token: other } = await signIn(a, 'ada')

  await redis.kill()
  const answer = await logOut(a, ada.token)
  t.equal(answer.statusCode, 503)
  t.equal(answer.json().error, 'revocation_unavailable')
  t.ok(Number(answer.headers['retry-after']) >= 1)
  t.equal((await logOut(a, ada.token)).statusCode, 503, 'again')

  await redis.start()
  const statuses = new Set<number>()
  await until('requests are answered again', async () => {
    for (const app of [a, b]) statuses.add((await get(app, '/token', ada.token)).statusCode)
    return (await get(a, '/token', other)).statusCode === 200 && (await get(b, '/token', other)).statusCode === 200
  })
  t.notOk(statuses.has(200), [...statuses].join(', '))
  for (const app of [a, b]) t.equal((await get(app, '/token', ada.token)).json().error, 'token_revoked')
})

t.test('P8: while Redis is down, a logout with one good credential is recorded, and a bad one alone is 401', async t => {
  const redis = await ownRedis(t)
  const app = await build(t, { ...await serversEnv(t), REDIS_URL: redis.url, RATE_LIMITS: 'off' })
  const { username, pair } = await signUp(app)
  const byRefresh = await signIn(app, username)
  const byExpired = await signIn(app, username)
  const expired = await expire(app, byExpired)
  await redis.kill()
  const asked = await send(app, 'POST /logout', { token: 'null', body: { refresh_token: byRefresh.refresh_token } })
  t.equal(outcome(asked), '503 revocation_unavailable')
  t.equal(outcome(await logOut(app, expired)), '503 revocation_unavailable')
  t.equal(outcome(await logOut(app, 'garbage')), '401 invalid_token', 'nothing was to be ended')
  await redis.start()
  await until('requests are answered again', async () => outcome(await get(app, '/token', pair.access_token)) === '200')
  for (const { access_token: token, refresh_token: refreshToken } of [byRefresh, byExpired]) {
    t.equal(outcome(await get(app, '/token', token)), '401 token_revoked')
    t.equal(outcome(await refresh(app, refreshToken)), '401 token_revoked')
  }
  t.equal(outcome(await logOut(app, expired)), '401 token_revoked')
})
