import t, { type Test } from 'tap'
import { build, serversEnv, type Env } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { keepLog } from '../support/log.ts'
import { metricValue } from '../support/metrics.ts'
import { password, signIn, signUp, type Pair } from '../support/people.ts'
import { ownRedis, type OwnRedis } from '../support/redis-server.ts'
import { fetchFrom, get, type RequestOptions, type Route } from '../support/requests.ts'
import { spawnServer, startServer } from '../support/server-process.ts'
import { settableClock, type SettableClock } from '../support/set-clock.ts'
import { busyMs, until } from '../support/wait.ts'
import { serviceRows } from './rows/service.ts'

type App = Awaited<ReturnType<typeof build>>

const scrapeToken = 'a-token-for-those-who-scrape'

/** A replica in a process whose clock can be set, and another replica whose clock is right. */
interface Scene {
  clock: SettableClock
  well: App
  redis: OwnRedis
  env: Env
  username: string
  /** Sends a request to the replica whose clock can be set. Returns the answer as `200` or `401 token_revoked`. */
  ask (route: Route, options?: RequestOptions): Promise<string>
  describe (path: string): Promise<string>
  /** Returns the log of the replica whose clock can be set. */
  output (): string
  /** Returns the log of the other replica. */
  log (): string
}

async function scene (t: Test): Promise<Scene> {
  const redis = await ownRedis(t)
  const env: Env = {
    ...await serversEnv(t),
    REDIS_URL: redis.url,
    RATE_LIMITS: 'off',
    METRICS_TOKEN: scrapeToken
  }
  const { logger, text } = keepLog()
  const well = await build(t, env, { ...logger, level: 'info' })
  const clock = settableClock(t)
  const server = await startServer(t, { ...env, ...clock.env })
  return {
    clock,
    well,
    redis,
    env,
    username: (await signUp(well)).username,
    async ask (route, options) {
      const answer = await fetchFrom(server.address, route, options)
      if (answer.ok) return String(answer.status)
      if (answer.status === 503 && !answer.headers.has('retry-after')) return '503 without Retry-After'
      return `${answer.status} ${(await answer.json() as { error: string }).error}`
    },
    async describe (path) {
      const token = path === '/metrics' ? scrapeToken : undefined
      return await (await fetchFrom(server.address, `GET ${path}`, { token })).text()
    },
    output: server.output,
    log: text
  }
}

/** Sends requests with a good token to both replicas again and again, and collects the answers of each. */
function keepAsking ({ ask, well }: Scene, token: string) {
  const said = { stepped: new Set<string>(), well: new Set<string>() }
  const over = new AbortController()
  const asking = (async () => {
    while (!over.signal.aborted) {
      said.stepped.add(await ask('GET /token', { token }))
      said.well.add(String((await get(well, '/token', token)).statusCode))
      await new Promise(resolve => setTimeout(resolve, 5))
    }
  })()
  return { said, async stop () { over.abort(); await asking } }
}

/** Asserts that a replica whose clock is wrong asks no user to sign in again, and issues no tokens. */
async function expectNothingSaidByTime (
  t: Test, scene: Scene, pair: Pair, leaving: Pair, seconds: number
): Promise<void> {
  const { ask, well, username } = scene
  // By a clock that is off by 8 s, the token may still be good.
  if (Math.abs(seconds) > 60) {
    const { access_token: token } = await signIn(well, username)
    t.equal(await ask('POST /logout', { token }), '200', 'a logout')
  }
  if (seconds === 8) {
    t.equal(
      await ask('PUT /me/password', {
        token: pair.access_token, body: { current_password: password, new_password: `${password}!` }
      }),
      '503 service_unavailable',
      'a new password'
    )
  }
  t.equal(await ask('POST /login', { body: { username, password } }), '503 service_unavailable', 'a login')
  t.equal(
    await ask('POST /refresh', { body: { refresh_token: pair.refresh_token } }),
    '503 service_unavailable',
    'a refresh'
  )
  const forged = `${pair.access_token.slice(0, -8)}AAAAAAAA`
  t.equal(await ask('GET /token', { token: forged }), '401 invalid_token', 'a bad signature')
  t.equal(
    await ask('POST /logout', { body: { refresh_token: leaving.refresh_token } }),
    '200',
    'a logout with a refresh token'
  )
  t.equal((await get(well, '/token', leaving.access_token)).json().error, 'token_revoked')
  const ready = await scene.describe('/health/ready')
  t.match(ready, /clocks \(this machine's clock is [\d.]+ s (ahead of|behind) those of Redis and Postgres\)/)
  expectNear(t, secondsAheadIn(ready), seconds)
  const metrics = await scene.describe('/metrics')
  for (const clock of ['redis', 'postgres']) {
    expectNear(t, metricValue(metrics, 'signout_clock_ahead_seconds', { clock }), -seconds)
  }
  t.ok((metricValue(metrics, 'signout_unavailable_answers_total', { cause: 'clocks' }) ?? 0) > 0)
}

/** Returns by how many seconds a text says that the clock of this machine is ahead: negative if it is behind. */
function secondsAheadIn (text: string): number | undefined {
  const [, seconds, side] = /clock (?:that )?is ([\d.]+) s (ahead|behind)/.exec(text) ?? []
  return side === undefined ? undefined : Number(seconds) * (side === 'ahead' ? 1 : -1)
}

/**
 * Allows for the time that a server took to answer when its clock was read: a replica says what is certain. On a busy
 * machine that is seconds.
 */
function expectNear (t: Test, actual: number | undefined, expected: number): void {
  t.ok(Math.abs((actual ?? NaN) - expected) < 3, `${actual} s, expected ${expected} s`)
}

testFault(t, serviceRows.replicaClock, async t => {
  const it = await scene(t)
  const marker = await it.redis.admin.get(`${it.env['BLOCKLIST_PREFIX']}marker`)
  for (const seconds of [4, -4, 8, -8, 3_600, -3_600]) {
    await t.test(`${seconds} s`, async t => {
      const [pair, leaving] = [await signIn(it.well, it.username), await signIn(it.well, it.username)]
      const { said, stop } = keepAsking(it, pair.access_token)
      await until('it accepts the token', () => said.stepped.has('200'))
      it.clock.set(seconds)
      if (Math.abs(seconds) < 5) await expectNothingHappens(t, it)
      else {
        await until('it has noticed', () => said.stepped.has('503 revocation_unavailable'), 5_000 + busyMs)
        await expectNothingSaidByTime(t, it, pair, leaving, seconds)
      }
      it.clock.set(0)
      await until('it accepts the token again', async () =>
        await it.ask('GET /token', { token: pair.access_token }) === '200'
      )
      await stop()
      t.same([...said.stepped].sort(), Math.abs(seconds) < 5 ? ['200'] : ['200', '503 revocation_unavailable'])
      t.same([...said.well], ['200'])
    })
  }
  const warned = /this machine has a clock that is (3[56]\d\d\.\d) s ahead of those of Redis and Postgres/
  expectNear(t, Number(warned.exec(it.output())?.[1]), 3_600)
  await expectNoRebuild(t, it, marker)
  await t.test('at its start', async t => {
    it.clock.set(-3_600)
    for (const [name, args] of [
      ['server.js', []], ['cli.js', ['check-config']]
    ] as const) {
      const started = spawnServer(t, { ...it.env, ...it.clock.env, PORT: '0' }, name, [...args])
      t.equal(await started.ended, 1)
      t.match(
        started.output(),
        /CLOCK_LEEWAY: this machine has a clock that is [\d.]+ s behind those of Redis and Postgres, which is more than CLOCK_LEEWAY \(5 s\)\. Set the clock of this machine by NTP\./
      )
      expectNear(t, secondsAheadIn(started.output()), -3_600)
    }
    await expectNoRebuild(t, it, marker)
  })
})

/** Asserts that the other replica has rebuilt nothing, and has left no doubt. */
async function expectNoRebuild (t: Test, { redis, env, log }: Scene, marker: string | null): Promise<void> {
  const prefix = String(env['BLOCKLIST_PREFIX'])
  t.notMatch(log(), 'made again')
  t.equal(await redis.admin.get(`${prefix}doubt`), null)
  t.equal((await redis.admin.get(`${prefix}marker`))?.split(':')[1], marker?.split(':')[1])
}

/** Asserts that replicas accept the tokens of each other while their clocks differ by less than the leeway. */
async function expectNothingHappens (t: Test, { ask, well, username, describe }: Scene): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, 1_200))
  t.equal(await ask('POST /login', { body: { username, password } }), '200')
  const { access_token: token } = await signIn(well, username)
  t.equal(await ask('GET /token', { token }), '200')
  t.match(await describe('/health/ready'), 'ok')
}
