import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { build, serversEnv } from '../support/app.ts'
import { addClient, introspect, postForm, type TestClient } from '../support/oauth.ts'
import { signUp } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { proxied } from '../support/replicas.ts'
import { logOut, outcome } from '../support/requests.ts'
import { until } from '../support/wait.ts'

const own = { client_id: 'signout' }
const unavailable = '503 temporarily_unavailable'

/** Introspects a token, and returns `active`, `inactive`, or the status with the error. */
async function stateOf (app: FastifyInstance, client: TestClient, token: string): Promise<string> {
  const answer = await introspect(app, client, token)
  if (answer.statusCode !== 200) return outcome(answer)
  return answer.json().active === true ? 'active' : 'inactive'
}

/** Introspects a token until the answer is a certain one. Fails for any answer but this one and 503. */
async function expectState (t: Test, app: FastifyInstance, client: TestClient, token: string, state: string) {
  const seen = new Set<string>()
  await until(`it is ${state}`, async () => {
    const found = await stateOf(app, client, token)
    seen.add(found)
    return found === state
  }, 30_000)
  t.same([...seen].filter(found => found !== state && found !== unavailable), [])
}

t.test('while Redis stalls, an introspection is 503 or right, and a revocation is recorded (P3, P4)', async t => {
  const { proxy, env } = await proxied(t, await serversEnv(t), 'REDIS_URL')
  const app = await build(t, { ...env, BLOCKLIST_DEADLINE_MS: '2500' })
  const client = await addClient(app)
  const [good, left, leaving] = [await signUp(app), await signUp(app), await signUp(app)]
  await logOut(app, left.token)
  proxy.stall()
  for (const { token } of [good, left]) {
    const answer = await introspect(app, client, token)
    t.equal(outcome(answer), unavailable)
    t.equal(answer.headers['retry-after'], '1')
    t.same(Object.keys(answer.json()), ['error', 'error_description'])
  }
  t.equal(await stateOf(app, client, good.pair.refresh_token), 'active', 'Postgres holds the session')
  t.equal(await stateOf(app, client, left.pair.refresh_token), 'inactive')
  for (const kind of ['access_token', 'refresh_token'] as const) {
    const answer = await postForm(app, 'revoke', { token: leaving.pair[kind], ...own })
    t.equal(outcome(answer), unavailable, kind)
    t.equal(answer.headers['retry-after'], '1', kind)
  }
  proxy.resume()
  await expectState(t, app, client, leaving.token, 'inactive')
  await expectState(t, app, client, good.token, 'active')
  t.equal(outcome(await postForm(app, 'revoke', { token: leaving.token, ...own })), '200', 'repeating is safe')
})

t.test('after Redis lost everything, no introspection takes a revoked token for an active one (P2)', async t => {
  const redis = await ownRedis(t)
  const app = await build(t, { ...await serversEnv(t), REDIS_URL: redis.url })
  const client = await addClient(app)
  const [good, left] = [await signUp(app), await signUp(app)]
  await logOut(app, left.token)
  await redis.admin.flushall()
  await expectState(t, app, client, left.token, 'inactive')
  await expectState(t, app, client, good.token, 'active')
})

t.test('while Postgres is down, no endpoint of OAuth claims anything', async t => {
  const { proxy, env } = await proxied(t, await serversEnv(t), 'DATABASE_URL')
  const app = await build(t, env)
  const client = await addClient(app)
  const { pair, token } = await signUp(app)
  proxy.stop()
  const grant = { grant_type: 'refresh_token', refresh_token: pair.refresh_token, ...own }
  for (const [name, answer] of Object.entries({
    'an introspection': await introspect(app, client, token),
    'an introspection of a text': await introspect(app, client, 'x'),
    'a wrong secret': await introspect(app, { ...client, headers: { authorization: 'Basic eDp4' } }, token),
    'a grant': await postForm(app, 'token', grant),
    'a revocation': await postForm(app, 'revoke', { token, ...own }),
    'a revocation of a refresh token': await postForm(app, 'revoke', { token: pair.refresh_token, ...own })
  })) {
    t.equal(outcome(answer), unavailable, name)
    t.equal(answer.headers['retry-after'], '1', name)
  }
  proxy.start()
  await expectState(t, app, client, token, 'active')
  t.equal((await postForm(app, 'token', grant)).statusCode, 200)
})
