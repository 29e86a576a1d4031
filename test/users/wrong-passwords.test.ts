import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { Redis } from 'ioredis'
import t from 'tap'
import { build, serversEnv, shareStorages, type Env } from '../support/app.ts'
import { letTimePass } from '../support/database.ts'
import { password, signIn } from '../support/people.ts'
import { outcome, send } from '../support/requests.ts'
import { randomName, redisUrl } from '../support/services.ts'

const day = 86_400
const settings: Env = {
  LIMIT_PASSWORD_IN_A_ROW: '4/2592000',
  // Only the limit in a row is reached here.
  LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '1000/900',
  LIMIT_PASSWORD_BY_ACCOUNT: '1000/900',
  LIMIT_PASSWORD_BY_IP: '1000/900'
}
const storages = shareStorages(t, settings)

const home = '192.0.2.1'
let places = 0
/** An address from which nothing came before. */
const elsewhere = () => `198.51.100.${++places}`

const login = (app: FastifyInstance, username: string, typed: string, remoteAddress = elsewhere()) =>
  send(app, 'POST /login', { body: { username, password: typed }, remoteAddress })
const guess = (app: FastifyInstance, username: string) => login(app, username, 'a wrong password')

async function guesses (app: FastifyInstance, username: string, times: number): Promise<string[]> {
  const outcomes: string[] = []
  for (let time = 0; time < times; time++) outcomes.push(outcome(await guess(app, username)))
  return outcomes
}

const wrong = '401 invalid_credentials'
const refused = '429 too_many_requests'

/** Registers a user, who signs in at home. */
async function addOwner (app: FastifyInstance): Promise<string> {
  const { username } = await app.accounts.register(`user-${randomName()}`, password, {}, 'user')
  await login(app, username, password, home)
  return username
}

t.test('wrong passwords in a row are bounded over days, wherever they come from', t => storages(t, async (t, app) => {
  for (const username of [await addOwner(app), `user-${randomName()}`]) {
    for (let time = 0; time < 4; time++) {
      t.equal(outcome(await guess(app, username)), wrong)
      await letTimePass(app, day)
    }
    const answer = await guess(app, username)
    t.equal(outcome(answer), refused)
    const seconds = Number(answer.headers['retry-after'])
    t.ok(seconds > 25 * day && seconds <= 26 * day, `${seconds} s, from the first wrong one`)
    t.equal(answer.headers['ratelimit-policy'], '"password-in-a-row";q=4;w=2592000')
    await letTimePass(app, 27 * day)
    t.equal(outcome(await guess(app, username)), wrong, 'after the window')
  }
}))

t.test('strangers lock no owner out where the account is known', t => storages(t, async (t, app) => {
  const username = await addOwner(app)
  t.same(await guesses(app, username, 5), [wrong, wrong, wrong, wrong, refused])
  t.equal(outcome(await login(app, username, password)), refused, 'a right one elsewhere is not told from a wrong one')
  t.equal(outcome(await login(app, username, 'a wrong password', home)), wrong)
  t.equal(outcome(await login(app, username, password, home)), '200')
  t.equal(outcome(await login(app, username, password)), '200', 'which ends the row everywhere')
}))

t.test('a right password between wrong ones ends the row', t => storages(t, async (t, app) => {
  const username = await addOwner(app)
  for (let time = 0; time < 3; time++) {
    t.same(await guesses(app, username, 3), [wrong, wrong, wrong])
    t.equal(outcome(await login(app, username.toUpperCase(), password)), '200')
  }
  t.same(await guesses(app, username, 5), [wrong, wrong, wrong, wrong, refused])
}))

t.test('every route that takes the password of an account counts it', t => storages(t, async (t, app) => {
  const username = await addOwner(app)
  const { access_token: token } = await signIn(app, username)
  const requests = [
    ['PUT /me/password', { current_password: 'wrong', new_password: 'another long pass phrase' }],
    ['POST /reauthenticate', { password: 'wrong' }],
    ['DELETE /me', { password: 'wrong' }],
    ['POST /logout?scope=all', { password: 'wrong' }]
  ] as const
  for (const expected of ['403 invalid_credentials', refused]) {
    for (const [route, body] of requests) {
      t.equal(outcome(await send(app, route, { token, body, remoteAddress: elsewhere() })), expected, route)
    }
  }
}))

t.test('strangers cannot keep an owner who is signed in from proving the password', t => storages(t, async (t, app) => {
  const username = await addOwner(app)
  const { access_token: token } = await signIn(app, username)
  t.same(await guesses(app, username, 5), [wrong, wrong, wrong, wrong, refused])
  const body = { current_password: password, new_password: 'another long pass phrase' }
  t.equal(outcome(await send(app, 'PUT /me/password', { token, body, remoteAddress: elsewhere() })), '200')
  t.equal(outcome(await guess(app, username)), wrong, 'which ends the row everywhere')
}))

t.test('a new user does not inherit what was tried before', t => storages(t, async (t, app) => {
  const username = `user-${randomName()}`
  t.same(await guesses(app, username, 5), [wrong, wrong, wrong, wrong, refused])
  await app.accounts.register(username, password, {}, 'user')
  t.equal(outcome(await login(app, username, password)), '200')
}))

t.test('guesses at the same time do not exceed it, and a flush of Redis gives none back', async t => {
  const env = { ...await serversEnv(t), ...settings }
  const replicas = [await build(t, env), await build(t, env)] as const
  const username = await addOwner(replicas[0])
  const answers: LightMyRequestResponse[] = await Promise.all(
    Array.from({ length: 20 }, (_, index) => guess(replicas[index % 2] as FastifyInstance, username))
  )
  t.equal(answers.filter(answer => outcome(answer) === wrong).length, 4)
  t.equal(answers.filter(answer => outcome(answer) === refused).length, 16)
  const redis = new Redis(redisUrl())
  t.teardown(() => { redis.disconnect() })
  const limits = await redis.keys(`${env['BLOCKLIST_PREFIX']}limit:*`)
  t.ok(limits.length > 0)
  await redis.del(limits)
  t.equal(outcome(await guess(replicas[0], username)), refused)
})
