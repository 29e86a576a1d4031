import { Redis } from 'ioredis'
import pg from 'pg'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { build, embeddedEnv, patient, promptServersEnv, type Env } from '../support/app.ts'
import { readMetrics } from '../support/metrics.ts'
import { signUp } from '../support/people.ts'
import { proxyTo } from '../support/proxy.ts'
import { ownRedis } from '../support/redis-server.ts'
import { get, logOut } from '../support/requests.ts'
import { until } from '../support/wait.ts'

const settings: Env = { RATE_LIMITS: 'off', BLOCKLIST_DEADLINE_MS: '150', METRICS_TOKEN: 'a-token-for-tests' }

/** Returns the one state of the blocklist in the metrics. */
async function stateOf (app: FastifyInstance): Promise<string> {
  const states = [...(await readMetrics(app))].filter(
    ([name, value]) => name.startsWith('signout_blocklist_state') && value === 1
  )
  return states.map(([name]) => /state="(\w+)"/.exec(name)?.[1]).join(' and ')
}

const valueOf = async (app: FastifyInstance, name: string) => (await readMetrics(app)).get(name)

/** Records revocations that are not in the blocklist. */
async function record (env: Env, rows: number): Promise<void> {
  const postgres = new pg.Client({ connectionString: env['DATABASE_URL'] })
  await postgres.connect()
  // Takes the lock of writers. Without it the projector might see positions whose rows are not committed yet.
  await postgres.query('begin')
  await postgres.query('select pg_advisory_xact_lock_shared(7366721)')
  await postgres.query(`insert into revocations (scope, id, expires_at, reason, created_at)
    select 'session', gen_random_uuid()::text, now() + interval '1 hour', 'logout', now() from generate_series(1, $1::int)`,
  [rows]
  )
  await postgres.query('commit')
  await postgres.end()
}

function adminOf (t: Test, url: string): Redis {
  const admin = new Redis(url)
  t.teardown(() => { admin.disconnect() })
  return admin
}

t.test('a stalled Redis is reported as unreachable, opens the breaker, and is the cause of the 503s', async t => {
  const redis = await ownRedis(t)
  const app = await build(t, { ...await promptServersEnv(t), ...settings, REDIS_URL: redis.url })
  // With such a deadline a busy machine fails look-ups too, so only what happens during the stall is counted.
  let token = ''
  await until('a user is signed in, and Redis is trusted', async () => {
    token ||= (await signUp(app).catch(() => undefined))?.token ?? ''
    return token !== '' && await stateOf(app) === 'trusted' && await valueOf(app, 'signout_breaker_open') === 0
  }, 30_000)

  const before = await readMetrics(app)
  redis.pause()
  for (let attempt = 0; attempt < 8; attempt++) t.equal((await get(app, '/token', token)).statusCode, 503)
  t.equal(await stateOf(app), 'unreachable')
  let after = before
  const grown = (name: string) => Number(after.get(`signout_${name}`)) - Number(before.get(`signout_${name}`))
  const cause = (name: string) => grown(`unavailable_answers_total{cause="blocklist_${name}"}`)
  await until('each look-up is counted, and what the breaker refused is none', async () => {
    after = await readMetrics(app)
    return grown('lookup_batch_size_sum') === 8 - cause('breaker_open')
  })
  t.equal(after.get('signout_breaker_open'), 1)
  t.equal(grown('breaker_openings_total'), 1)
  t.equal(grown('checks_total{result="unavailable"}'), 8)
  t.ok(grown('lookup_duration_seconds_count{result="failed"}') >= 1)
  t.ok(cause('timeout') >= 1, `${cause('timeout')} timeouts`)
  t.ok(cause('breaker_open') >= 1, `${cause('breaker_open')} refused at once`)
  t.equal(cause('timeout') + cause('breaker_open') + cause('unreachable'), 8)

  await redis.kill()
  await get(app, '/token', token)
  t.equal(await stateOf(app), 'unreachable')
  await redis.start()
  await until('it is trusted again, without a request', async () => await stateOf(app) === 'trusted', 30_000)
  t.equal(await valueOf(app, 'signout_breaker_open'), 0)
})

t.test('after Redis has lost everything, metrics show the state, progress and cost of the rebuild', async t => {
  const redis = await ownRedis(t)
  const env: Env = { ...await promptServersEnv(t), ...settings, ...patient, REDIS_URL: redis.url }
  const app = await build(t, env)
  const { token } = await signUp(app)
  const rows = 60_000
  await record(env, rows)
  const admin = adminOf(t, redis.url)
  // The projector counts what it wrote once Redis has all of it.
  const written = async () => Number(await valueOf(app, 'signout_projector_entries_total{kind="catch_up"}'))
  await until('it has written all of them', async () => await written() >= rows, 60_000)
  const before = await readMetrics(app)
  await admin.flushall()
  const seen: Array<Record<string, number | undefined>> = []
  await until('it is trusted again', async () => {
    const metrics = await readMetrics(app)
    seen.push({
      rebuilding: metrics.get('signout_blocklist_state{state="rebuilding"}'),
      behind: metrics.get('signout_blocklist_positions_behind'),
      done: metrics.get('signout_rebuild_progress_entries'),
      expected: metrics.get('signout_rebuild_expected_entries'),
      remaining: metrics.get('signout_rebuild_remaining_seconds')
    })
    return metrics.get('signout_blocklist_state{state="trusted"}') === 1
  }, 60_000)
  t.ok(seen.some(({ rebuilding, behind }) => rebuilding === 1 && Number(behind) > 1_000), 'it says how much it lacks')
  const isUnderWay = ({ rebuilding, done, expected, remaining }: typeof seen[number]) =>
    rebuilding === 1 && Number(remaining) > 0 && Number(done) > 0 && Number(done) < rows && expected === rows
  t.ok(seen.some(isUnderWay), JSON.stringify(seen.slice(-5)))
  t.match(seen.at(-1), { rebuilding: 0, behind: 0, done: 0, expected: 0, remaining: 0 })
  const runs = 'signout_projector_runs_total{kind="rebuild"}'
  await until('it is counted', async () => Number(await valueOf(app, runs)) > Number(before.get(runs)))
  const after = await readMetrics(app)
  const grown = (name: string) => Number(after.get(name)) - Number(before.get(name))
  t.equal(grown(runs), 1)
  t.equal(grown('signout_projector_entries_total{kind="rebuild"}'), rows)
  t.ok(grown('signout_projector_seconds_total{kind="rebuild"}') > 0)
  t.equal((await get(app, '/token', token)).statusCode, 200)
})

t.test('each cause of a 503 has its own counter', async t => {
  const env = await promptServersEnv(t)
  const url = new URL(String(env['DATABASE_URL']))
  const proxy = await proxyTo(t, url.hostname, Number(url.port || 5432))
  url.hostname = '127.0.0.1'
  url.port = String(proxy.port)
  const redis = await ownRedis(t)
  const app = await build(t, {
    ...env,
    ...settings,
    DATABASE_URL: url.href,
    REDIS_URL: redis.url,
    BLOCKLIST_DEADLINE_MS: '5000',
    DATABASE_DEADLINE_MS: '2500'
  })
  const { token } = await signUp(app)
  const causes = async () => Object.fromEntries([...await readMetrics(app)]
    .filter(([name, value]) => name.startsWith('signout_unavailable_answers_total') && value > 0)
    .map(([name, value]) => [/cause="(\w+)"/.exec(name)?.[1], value]))

  proxy.stall()
  t.equal((await get(app, '/me', token)).statusCode, 503)
  t.equal((await get(app, '/health/ready')).statusCode, 503)
  t.same(await causes(), { database: 1, not_ready: 1 })
  // Redis has lost the marker, and without the record the projector cannot write it again.
  await adminOf(t, redis.url).flushall()
  t.equal((await get(app, '/token', token)).statusCode, 503)
  t.match(await causes(), { blocklist_rebuilding: 1 })
  t.equal(await stateOf(app), 'rebuilding')
  await redis.kill()
  await until('the connection is seen to be lost', async () => await stateOf(app) === 'unreachable')
  t.equal((await get(app, '/token', token)).statusCode, 503)
  t.match(await causes(), { blocklist_unreachable: Number })
  await redis.start()
  await until('it answers, and is not believed', async () => await stateOf(app) === 'untrusted')
  await until('its answer is why', async () => {
    await get(app, '/token', token)
    return 'blocklist_untrusted' in await causes()
  })
})

t.test('embedded: the blocklist is filled at start and trusted, and has no metric of positions', async t => {
  const app = await build(t, { ...await embeddedEnv(t), METRICS_TOKEN: 'a-token-for-tests' })
  const { token } = await signUp(app)
  await logOut(app, token)
  const metrics = await readMetrics(app)
  t.equal(await stateOf(app), 'trusted')
  t.equal(metrics.get('signout_projector_runs_total{kind="rebuild"}'), 1)
  t.notOk(metrics.has('signout_blocklist_positions_behind'))
})
