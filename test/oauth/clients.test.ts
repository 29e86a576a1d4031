import t, { type Test } from 'tap'
import { shareServers } from '../support/app.ts'
import { query } from '../support/database.ts'
import { addClient, basic, introspect, postForm, type Form, type TestClient } from '../support/oauth.ts'
import { signUp } from '../support/people.ts'
import { expectError, outcome } from '../support/requests.ts'
import { randomName } from '../support/services.ts'
import { build, serversEnv } from '../support/app.ts'

const onServers = shareServers(t)
type App = Parameters<Parameters<typeof onServers>[1]>[1]
const ask = (app: App, form: Form | string, headers = {}) =>
  postForm(app, 'introspect', typeof form === 'string' ? form : { token: 'x', ...form }, { headers })

t.test('a client authenticates with its secret in the header or in the body', t => onServers(t, async (t, app) => {
  const { id, secret, headers } = await addClient(app)
  t.equal((await ask(app, {}, headers)).statusCode, 200, 'client_secret_basic')
  t.equal((await ask(app, { client_id: id }, headers)).statusCode, 200, 'with its id in the body too')
  t.equal((await ask(app, { client_id: id, client_secret: secret })).statusCode, 200, 'client_secret_post')
  const encoded = `${id.replaceAll('-', '%2D')}:${secret}`
  const authorization = `bAsIc  ${Buffer.from(encoded).toString('base64')}`
  t.equal((await ask(app, {}, { authorization })).statusCode, 200, 'form-encoded')
}))

t.test('wrong credentials get invalid_client with a challenge', t => onServers(t, async (t, app) => {
  const { id, secret } = await addClient(app)
  const other = await addClient(app)
  const refuse = async (name: string, form: Form, headers = {}) => {
    const answer = await ask(app, form, headers)
    expectError(t, answer, 401, 'invalid_client', name)
    t.equal(answer.headers['www-authenticate'], 'Basic realm="signout"', name)
    t.same(Object.keys(answer.json()), ['error', 'error_description'], name)
  }
  await refuse('a wrong secret', {}, basic(id, `${secret}x`))
  await refuse('the secret of another client', {}, basic(id, other.secret))
  await refuse('an unknown client', {}, basic('unknown', secret))
  await refuse('an id that cannot be one', {}, basic('a\u0000b', secret))
  await refuse('an empty secret', {}, basic(id, ''))
  await refuse('an empty secret in the body', { client_id: id, client_secret: '' })
  await refuse('no secret', { client_id: id })
  await refuse('the built-in client with a secret', {}, basic('signout', ''))
  await refuse('unicode', { client_id: 'ключ', client_secret: '🔑🔑' })
  await refuse('no base64', {}, { authorization: 'Basic ***' })
  await refuse('no colon', {}, { authorization: `Basic ${Buffer.from(id).toString('base64')}` })
  await refuse('a broken code', {}, { authorization: `Basic ${Buffer.from(`${id}:%zz`).toString('base64')}` })
  await refuse('another scheme', {}, { authorization: `Bearer ${secret}` })
}))

t.test('credentials that contradict each other get invalid_request', t => onServers(t, async (t, app) => {
  const { id, secret, headers } = await addClient(app)
  const assertion = { client_assertion: 'a.b.c', client_assertion_type: 'x' }
  for (const [name, form, given] of [
    ['both ways at once', { client_id: id, client_secret: secret }, headers],
    ['an assertion too', assertion, headers],
    ['a secret and an assertion', { ...assertion, client_secret: secret, client_id: id }, {}],
    ['another client_id', { client_id: 'other' }, headers],
    ['half an assertion', { client_assertion: 'a.b.c' }, {}],
    ['a client twice', `token=x&client_id=${id}&client_id=${id}&client_secret=${secret}`, {}]
  ] satisfies Array<[string, Form | string, object]>) {
    expectError(t, await ask(app, form, given), 400, 'invalid_request', name)
  }
  const twice = await app.inject({
    method: 'POST',
    url: '/oauth/introspect',
    payload: 'token=x',
    headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: headers.authorization }
  })
  t.equal(twice.statusCode, 200)
}))

t.test('during a rotation two secrets are accepted, and no third', t => onServers(t, async (t, app) => {
  const first = await addClient(app)
  const { id } = first
  const with_ = (secret = ''): TestClient => ({ id, secret, headers: basic(id, secret) })
  const second = with_((await app.clientAdministration.rotate(id, undefined)).secret)
  const accepted = async (...clients: TestClient[]) =>
    await Promise.all(clients.map(async client => (await introspect(app, client, 'x')).statusCode))
  t.same(await accepted(first, second), [200, 200])
  const third = with_((await app.clientAdministration.rotate(id, undefined)).secret)
  t.same(await accepted(first, second, third), [401, 200, 200])
  await app.clientAdministration.finishRotation(id)
  t.same(await accepted(first, second, third), [401, 401, 200])
  await app.clientAdministration.delete(id)
  t.same(await accepted(third), [401])
  const [stored] = await query(app, 'select credentials::text as text from clients order by created_at desc limit 1')
  t.notMatch(String(stored?.['text']), first.secret)
}))

t.test('failed authentications are counted as security events, without what was typed', t =>
  onServers(t, async (t, app) => {
    const remoteAddress = `2001:db8:${Math.floor(Math.random() * 65_536).toString(16)}::1`
    const { id } = await addClient(app)
    const typed = `typed-${randomName()}`
    for (const headers of [basic(id, typed), basic(typed, typed)]) {
      await postForm(app, 'introspect', { token: 'x' }, { headers, remoteAddress })
    }
    const rows = await query<{ type: string, count: number, details: unknown }>(app,
      `select type, count, details from security_events where ip <<= '${remoteAddress}/64'`)
    t.equal(rows.reduce((sum, { count }) => sum + count, 0), 2)
    t.ok(rows.every(({ type }) => type === 'client_authentication_failed'))
    t.same(rows[0]?.details, { client: id })
    t.notMatch(JSON.stringify(rows), typed)
  }))

t.test('wrong secrets from one place are limited, on every replica, and right ones are then refused', async t => {
  const env = { ...await serversEnv(t), LIMIT_CLIENT_BY_IP: '3/900' }
  const replicas = [await build(t, env), await build(t, env)]
  const [app] = replicas as [App, App]
  const { pair } = await signUp(app)
  const right = await addClient(app)
  const wrong = basic(right.id, 'wrong')
  const at = (app: App, remoteAddress: string, headers: Record<string, string>) =>
    postForm(app, 'introspect', { token: pair.access_token }, { headers, remoteAddress })
  for (let time = 0; time < 10; time++) {
    t.equal((await at(app, '203.0.113.1', right.headers)).statusCode, 200, 'right ones do not count')
  }
  for (let time = 0; time < 3; time++) {
    t.equal(outcome(await at(replicas[time % 2] as App, '203.0.113.1', wrong)), '401 invalid_client')
  }
  for (const app of replicas) {
    await expectLimited(t, at(app, '203.0.113.1', wrong))
    await expectLimited(t, at(app, '203.0.113.1', right.headers))
    t.equal((await at(app, '203.0.113.2', right.headers)).statusCode, 200, 'another place')
  }
})

async function expectLimited (t: Test, sent: ReturnType<typeof postForm>): Promise<void> {
  const answer = await sent
  expectError(t, answer, 429, 'temporarily_unavailable')
  t.match(answer.headers, { 'retry-after': /^\d+$/, 'ratelimit-policy': '"client-by-ip";q=3;w=900' })
}
