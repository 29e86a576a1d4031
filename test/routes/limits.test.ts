import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { Settings } from '../../src/settings/settings.ts'
import { build, embeddedEnv, serversEnv, shareStorages } from '../support/app.ts'
import { password, signUp } from '../support/people.ts'
import { proxyTo } from '../support/proxy.ts'
import { send } from '../support/requests.ts'
import { postgresUrl, randomName } from '../support/services.ts'
import { until } from '../support/wait.ts'

interface Sender {
  remoteAddress?: string
  headers?: Record<string, string>
}

const wrong = 'a wrong password'
const guess = (app: FastifyInstance, username: string, sender?: Sender) =>
  send(app, 'POST /login', { body: { username, password: wrong }, ...sender })
const login = (app: FastifyInstance, username: string, sender?: Sender) =>
  send(app, 'POST /login', { body: { username, password }, ...sender })
const register = (app: FastifyInstance, sender?: Sender) =>
  send(app, 'POST /register', { body: { username: randomName(), password }, ...sender })

async function statusesOf (times: number, request: () => Promise<LightMyRequestResponse>): Promise<number[]> {
  const statuses: number[] = []
  for (let time = 0; time < times; time++) statuses.push((await request()).statusCode)
  return statuses
}

function countStatuses (answers: LightMyRequestResponse[]): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const { statusCode } of answers) counts[statusCode] = (counts[statusCode] ?? 0) + 1
  return counts
}

// To build an app takes long, so tests share some. Each test has addresses of its own: limits apply by address too.
const withSmallLimits = shareStorages(t, {
  LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '2/900',
  LIMIT_PASSWORD_BY_ACCOUNT: '3/900',
  LIMIT_PASSWORD_BY_IP: '3/900',
  LIMIT_REGISTER_BY_IP: '2/3600'
})
const withLargeLimits = shareStorages(t, { LIMIT_PASSWORD_BY_IP: '100/900', LIMIT_REGISTER_BY_IP: '200/900' })
const behindProxy = shareStorages(t, {
  LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '2/3', LIMIT_REGISTER_BY_IP: '2/3600', TRUST_PROXY: '10.0.0.0/8'
})

/** Registers a user, which counts against no limit. */
async function addUser (app: FastifyInstance): Promise<{ username: string }> {
  return await app.accounts.register(`user-${randomName()}`, password, {}, 'user')
}

t.test('POST /login is 429 after too many wrong passwords', t => withSmallLimits(t, async (t, app) => {
  const ada = await addUser(app)
  const [home, elsewhere] = [{ remoteAddress: '192.0.2.1' }, { remoteAddress: '192.0.2.9' }]
  const right = await statusesOf(5, () => login(app, ada.username, home))
  t.same(right, [200, 200, 200, 200, 200], 'right ones do not count')
  for (const [username, sender] of [[ada.username, home], [randomName(), { remoteAddress: '192.0.2.2' }]] as const) {
    const [first, second] = [await guess(app, username, sender), await guess(app, username, sender)]
    for (const answer of [first, second]) {
      t.equal(answer?.statusCode, 401)
      t.notMatch(Object.keys(answer?.headers ?? {}).join(' '), 'ratelimit', 'nothing is told before')
    }
    const answer = await guess(app, username.toUpperCase(), sender)
    t.equal(answer.statusCode, 429, username === ada.username ? 'an account' : 'no account')
    t.same(answer.json(), {
      error: 'too_many_requests', description: 'There were too many attempts. Wait before the next one.'
    })
    const seconds = Number(answer.headers['retry-after'])
    t.ok(Number.isInteger(seconds) && seconds > 890 && seconds <= 900, `${seconds} s`)
    t.equal(answer.headers['ratelimit-policy'], '"password-by-account-and-ip";q=2;w=900')
    t.equal(answer.headers['ratelimit'], `"password-by-account-and-ip";r=0;t=${seconds}`)
  }
  t.equal((await login(app, ada.username, home)).statusCode, 429, 'a right password as well')
  t.equal((await login(app, ada.username, elsewhere)).statusCode, 200, 'not from elsewhere')
}))

t.test('a known and an unknown username are limited alike, by each limit', t => withSmallLimits(t, async (t, app) => {
  const sequence = async (username: string, from: number) => [
    ...await statusesOf(3, () => guess(app, username, { remoteAddress: `203.0.113.${from}` })),
    ...await statusesOf(3, () => guess(app, username, { remoteAddress: `203.0.113.${from + 1}` })),
    ...await statusesOf(2, () => guess(app, randomName(), { remoteAddress: `203.0.113.${from}` }))
  ]
  const { username } = await addUser(app)
  const expected = [401, 401, 429, 401, 429, 429, 401, 429]
  t.same(await sequence(username, 1), expected)
  t.same(await sequence(randomName(), 3), expected)
  t.same(await sequence('no username', 5), expected)
}))

const severalGuesses = { LIMIT_PASSWORD_BY_ACCOUNT: '9/900', LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '8/900' }
async function twoReplicas (t: Test): Promise<readonly [FastifyInstance, FastifyInstance]> {
  const env = { ...await serversEnv(t), ...severalGuesses }
  return [await build(t, env), await build(t, env)]
}

t.test('guesses at the same time on two replicas do not exceed a limit', async t => {
  const replicas = await twoReplicas(t)
  const { username } = await signUp(replicas[0])
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, index) =>
      guess(replicas[index % 2] as FastifyInstance, username, { remoteAddress: `203.0.113.${index}` })
    )
  )
  t.equal(answers.filter(answer => answer.statusCode === 401).length, 9)
  t.equal(answers.filter(answer => answer.statusCode === 429).length, 21)
})

t.test('thirty right logins of one account at once are all answered 200', t => withLargeLimits(t, async (t, app) => {
  const { username } = await signUp(app)
  t.same(countStatuses(await Promise.all(Array.from({ length: 30 }, () => login(app, username)))), { 200: 30 })
  t.same(await statusesOf(3, () => guess(app, username)), [401, 401, 401], 'and none of them has used up anything')
}))

t.test('120 right logins, to ten accounts from one address, are all answered 200', t => withLargeLimits(t, async (t, app) => {
  // More than the limit by address, which only wrong passwords use up. A busy machine may refuse more than 40 at once.
  const people = await Promise.all(Array.from({ length: 10 }, () => signUp(app)))
  for (let round = 0; round < 3; round++) {
    const answers = [1, 2, 3, 4].flatMap(() => people.map(({ username }) => login(app, username)))
    t.same(countStatuses(await Promise.all(answers)), { 200: 40 })
  }
}))

t.test('right and wrong passwords at once on two replicas are counted exactly', async t => {
  const replicas = await twoReplicas(t)
  const { username } = await signUp(replicas[0])
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, index) =>
      (index % 5 === 0 ? guess : login)(replicas[index % 2] as FastifyInstance, username)
    )
  )
  t.same(countStatuses(answers), { 200: 24, 401: 6 })
  t.same(await statusesOf(3, () => guess(replicas[0], username)), [401, 401, 429], 'six of eight were used up')
  t.equal((await login(replicas[1], username)).statusCode, 429)
})

t.test('a client may try again after the time in Retry-After', t => behindProxy(t, async (t, app) => {
  let [username, askedAt, seconds] = ['', NaN, NaN]
  // On a busy machine the window may pass before the third attempt.
  await until('a third attempt within the window is refused', async () => {
    username = (await addUser(app)).username
    t.same(await statusesOf(2, () => guess(app, username)), [401, 401])
    askedAt = performance.now()
    const { statusCode, headers } = await login(app, username)
    seconds = Number(headers['retry-after'])
    return statusCode === 429
  }, 30_000)
  await until('the limit has passed, though it is tried all the time', async () => {
    await sleep(50)
    return (await login(app, username)).statusCode === 200
  }, 30_000)
  const elapsedSeconds = (performance.now() - askedAt) / 1000
  t.ok(elapsedSeconds > seconds - 1.2, `${seconds} s were said, it was ${elapsedSeconds} s`)
}))

t.test('POST /register is 429 after too many registrations', t => withSmallLimits(t, async (t, app) => {
  t.same(await statusesOf(2, () => register(app)), [201, 201])
  const answer = await register(app)
  t.equal(answer.statusCode, 429)
  t.equal(answer.headers['ratelimit-policy'], '"register-by-ip";q=2;w=3600')
  t.match(answer.headers['ratelimit'], /^"register-by-ip";r=0;t=3(600|59\d)$/)
  t.equal((await register(app, { remoteAddress: '2001:db8::1' })).statusCode, 201)
  t.equal((await register(app, { remoteAddress: '2001:db8::2' })).statusCode, 201)
  t.equal((await register(app, { remoteAddress: '2001:db8::3' })).statusCode, 429, 'the same /64')
}))

const from = (remoteAddress: string, forwarded: string) => ({
  remoteAddress, headers: { 'x-forwarded-for': forwarded }
})

t.test('a forged X-Forwarded-For is ignored without TRUST_PROXY', t => withSmallLimits(t, async (t, app) => {
  let last = 0
  t.same(await statusesOf(3, () => register(app, from('10.0.0.1', `203.0.113.${last++}`))), [201, 201, 429])
}))

t.test('a forged X-Forwarded-For is ignored from an untrusted host, and before entries of the proxy', t => behindProxy(t, async (t, app) => {
  let last = 0
  const forged = () => `203.0.113.${last++}`
  t.same(await statusesOf(3, () => register(app, from('192.0.2.1', forged()))), [201, 201, 429])
  t.same(
    await statusesOf(3, () => register(app, from('10.0.0.1', `${forged()}, 198.51.100.1`))),
    [201, 201, 429],
    'the last hop that is no proxy counts'
  )
  t.same(
    await statusesOf(3, () => register(app, from('10.0.0.1', `${forged()}, 198.51.100.2, 10.0.0.2`))),
    [201, 201, 429],
    'behind several proxies too'
  )
  t.same(
    await statusesOf(2, () => register(app, from('10.0.0.1', '198.51.100.3'))),
    [201, 201],
    'clients of one proxy are apart'
  )
  let port = 1024
  t.same(
    await statusesOf(3, () => register(app, from('10.0.0.1', `198.51.100.4:${port++}`))),
    [201, 201, 429],
    'two ports of one address count as one client'
  )
  t.same(
    await statusesOf(2, () => register(app, from('10.0.0.1', `[2001:db8:1::${port++}]:443`))),
    [201, 201],
    'an IPv6 address may have brackets'
  )
  t.same(
    await statusesOf(3, () => register(app, from('10.0.0.1', `unknown-${port++}`))),
    [201, 201, 429],
    'all texts that are not addresses count as one client'
  )
}))

const limitsOfOne = Object.fromEntries(
  Object.keys(Settings.properties).filter(name => name.startsWith('LIMIT_')).map(name => [name, '1/900'])
)

for (const [storage, envOf] of Object.entries({ 'embedded mode': embeddedEnv, 'Postgres and Redis': serversEnv })) {
  t.test(`RATE_LIMITS=off turns all limits off with ${storage}, and logs a warning`, async t => {
    const lines: string[] = []
    const app = await build(t, { ...await envOf(t), ...limitsOfOne, RATE_LIMITS: 'off' }, {
      level: 'info', stream: { write: line => { lines.push(line) } }
    })
    const warnings = lines.map(line => JSON.parse(line)).filter(({ msg }) => msg.startsWith('RATE_LIMITS=off'))
    t.match(warnings, [{ level: 40, msg: /load tests on a closed network/ }], 'is said loudly')
    t.same(new Set(await statusesOf(4, () => register(app))), new Set([201]))
    t.same(new Set(await statusesOf(4, () => guess(app, 'ada'))), new Set([401]))
    t.equal((await signUp(app)).token.length > 100, true)
    const session = { id: 'a-session', userId: 'a-user', isLive: true }
    for (let time = 0; time < 2; time++) await t.resolves(app.limits.refresh(session))
  })
}

t.test('a login that cannot be checked does not count against a limit', async t => {
  const env = await serversEnv(t)
  const real = new URL(postgresUrl())
  const proxy = await proxyTo(t, real.hostname, Number(real.port))
  const url = new URL(String(env['DATABASE_URL']))
  url.host = `127.0.0.1:${proxy.port}`
  const app = await build(t, {
    ...env, DATABASE_URL: url.href, DATABASE_DEADLINE_MS: '2500', LIMIT_PASSWORD_BY_ACCOUNT_AND_IP: '2/900'
  })
  const { username } = await signUp(app)
  proxy.stall()
  const answers = await Promise.all(Array.from({ length: 4 }, () => login(app, username)))
  t.same(answers.map(({ statusCode }) => statusCode), [503, 503, 503, 503])
  proxy.resume()
  await until('it can', async () => (await login(app, username)).statusCode === 200, 30_000)
  t.same(await statusesOf(3, () => guess(app, username)), [401, 401, 429])
})
