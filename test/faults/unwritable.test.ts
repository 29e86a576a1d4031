import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { build, type Env } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { readMetrics } from '../support/metrics.ts'
import { signIn } from '../support/people.ts'
import { onPostgres } from '../support/record.ts'
import type { OwnRedis } from '../support/redis-server.ts'
import { keepAsking, logOutFor, startReplicas, untilAccepted, type Replicas } from '../support/replicas.ts'
import { get, logOut, outcome } from '../support/requests.ts'
import { busyMs, until } from '../support/wait.ts'
import { redisRows } from './rows/redis.ts'

const refused = ['401 token_revoked', '503 revocation_unavailable']

/** The causes for which Redis serves reads and refuses writes. */
const causes: Record<string, { begin (redis: OwnRedis): Promise<void>, end (redis: OwnRedis): Promise<void> }> = {
  OOM: {
    async begin ({ admin }) { await admin.config('SET', 'maxmemory', '1') },
    async end ({ admin }) { await admin.config('SET', 'maxmemory', '0') }
  },
  NOREPLICAS: {
    async begin ({ admin }) { await admin.config('SET', 'min-replicas-to-write', '1') },
    async end ({ admin }) { await admin.config('SET', 'min-replicas-to-write', '0') }
  },
  MISCONF: {
    async begin ({ admin }) {
      mkdirSync(join(await dumpOf(admin), 'in the way'), { recursive: true })
      await admin.config('SET', 'save', '3600 1')
      await saveUntil(admin, 'err')
    },
    async end ({ admin }) {
      rmSync(await dumpOf(admin), { recursive: true })
      await saveUntil(admin, 'ok')
    }
  }
}

async function dumpOf (admin: OwnRedis['admin']): Promise<string> {
  const [, folder] = await admin.config('GET', 'dir') as string[]
  return join(String(folder), 'dump.rdb')
}

async function saveUntil (admin: OwnRedis['admin'], status: 'ok' | 'err'): Promise<void> {
  await admin.bgsave()
  await until(`a snapshot is ${status}`, async () =>
    (await admin.info('persistence')).includes('rdb_bgsave_in_progress:0') &&
    (await admin.info('persistence')).includes(`rdb_last_bgsave_status:${status}`))
}

const stateOf = async (app: Replicas['a']) =>
  [...await readMetrics(app)].find(([name, value]) => name.startsWith('signout_blocklist_state') && value === 1)?.[0]

testFault(t, redisRows.writesRefused, async t => {
  const { a, apps, redis, username, good, log } = await startReplicas(t, { METRICS_TOKEN: 'a-token-for-tests' })
  const asking = keepAsking(apps, good)
  for (const [cause, { begin, end }] of Object.entries(causes)) {
    const { access_token: leaving } = await signIn(a, username)
    await begin(redis)
    t.equal(outcome(await logOut(a, leaving)), '503 revocation_unavailable', cause)
    for (const app of apps) {
      await until(
        'it is refused', async () => refused.includes(outcome(await get(app, '/token', leaving))), 2_500 + busyMs
      )
    }
    for (const app of apps) {
      await until('the state is behind', async () => /behind/.test(String(await stateOf(app))), 8_000 + busyMs)
    }
    for (const app of apps) {
      t.equal((await get(app, '/health/ready')).json().blocklist, 'behind')
      t.ok(refused.includes(outcome(await get(app, '/token', leaving))))
    }
    t.equal(outcome(await logOut(a, leaving)), '503 revocation_unavailable', 'again')
    await end(redis)
    for (const app of apps) {
      await until(
        'it is in effect', async () => outcome(await get(app, '/token', leaving)) === '401 token_revoked',
        2_500 + busyMs
      )
    }
    for (const app of apps) {
      await until('the state is trusted', async () => /"trusted"/.test(String(await stateOf(app))))
    }
  }
  await asking.stop()
  t.same(asking.said.map(answers => [...answers]), [['200'], ['200']], 'what a good token got')
  t.ok(log.some(line => line.includes('Redis is behind the record')))
})

t.test('a replica whose Redis refuses writes refuses what others revoke, and accepts all other tokens (P1)', async t => {
  const { a, apps, env, redis, username, good } = await startReplicas(t)
  await redis.admin.config('SET', 'maxmemory', '1')
  const { access_token: leaving } = await signIn(a, username)
  t.equal((await logOut(a, leaving)).statusCode, 503)
  // After a reconnect, no answer counts by the marker alone, because the marker is behind.
  await redis.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await untilAccepted(apps, good)
  for (const app of apps) {
    t.equal(
      outcome(await get(app, '/token', leaving)), '503 revocation_unavailable', 'it may not be refused everywhere yet'
    )
  }
  await onPostgres(env, "update revocations set created_at = created_at + interval '1 hour'")
  for (const app of apps) {
    t.equal(
      outcome(await get(app, '/token', leaving)), '503 revocation_unavailable', 'the clock of Postgres was set back'
    )
  }
  await onPostgres(env, "update revocations set created_at = created_at - interval '1 hour'")
  await onPostgres(env, "update revocations set created_at = created_at - interval '10 seconds'")
  for (const app of apps) {
    t.equal(outcome(await get(app, '/token', leaving)), '401 token_revoked', 'every replica knows by now')
  }
  t.equal(outcome(await logOut(a, leaving)), '503 revocation_unavailable', 'the logout itself, until Redis has it')
  for (const app of apps) t.equal(outcome(await get(app, '/token', good)), '200')
  await redis.admin.config('SET', 'maxmemory', '0')
  await until('Redis has it', async () => outcome(await logOut(a, leaving)) === '401 token_revoked')
})

t.test('a replica that starts while Redis refuses writes accepts good tokens, and refuses recorded ones', async t => {
  const { a, env, redis, username, good } = await startReplicas(t)
  await redis.admin.config('SET', 'min-replicas-to-write', '1')
  const { access_token: leaving } = await signIn(a, username)
  t.equal((await logOut(a, leaving)).statusCode, 503)
  const late = await build(t, env)
  await untilAccepted([late], good)
  t.ok(refused.includes(outcome(await get(late, '/token', leaving))))
})

t.test('a marker that is behind does not count with a doubt, without Postgres, or out of bounds (P2)', async t => {
  const { a, apps, env, redis, good, leaving } = await startReplicas(t, { DATABASE_DEADLINE_MS: '2500' })
  await logOutFor(t, a, leaving)
  const { admin } = redis
  const doubt = `${env['BLOCKLIST_PREFIX']}doubt`
  const ask = async () => outcome(await get(a, '/token', good))
  const untilCounted = () => untilAccepted(apps, good)
  await until('the marker is there', async () =>
    /:[1-9]\d*$/.test(String(await admin.get(`${env['BLOCKLIST_PREFIX']}marker`)))
  )
  // Takes the lease from the replicas, so that the marker and `marked` stay where they are.
  await onPostgres(
    env, "update projector_lease set holder = gen_random_uuid(), held_until = now() + interval '5 minutes'"
  )
  await advance(env, 1)
  await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await untilCounted()
  t.equal((await get(a, '/health/ready')).json().blocklist, 'behind')
  await admin.set(doubt, 1)
  t.equal(await ask(), '503 revocation_unavailable', 'a doubt')
  await admin.del(doubt)
  await untilCounted()
  const [{ marked } = {}] = await onPostgres<{ marked: string }>(env, 'select marked from records')
  await onPostgres(env, 'update records set marked = 0')
  t.equal(await ask(), '503 revocation_unavailable', 'beyond what was marked')
  await onPostgres(env, 'update records set marked = $1', [marked])
  await untilCounted()
  await withPostgres(env, async ask => {
    await ask('lock table records')
    t.equal(outcome(await get(a, '/token', good)), '503 revocation_unavailable', 'without Postgres')
  })
  await untilCounted()
  t.equal(outcome(await get(a, '/token', leaving)), '401 token_revoked', 'what Redis has')
  await advance(env, 5_000)
  t.equal(await ask(), '503 revocation_unavailable', 'too far behind')
})

/** Adds revocations of other users' tokens to the record. */
function advance (env: Env, rows: number): Promise<unknown> {
  return onPostgres(
    env,
    "insert into revocations (scope, id, expires_at, reason, created_at) select 'token', gen_random_uuid(), now() + interval '1 hour', 'logout', now() from generate_series(1, $1::int)",
    [rows]
  )
}

/** Runs work in a transaction that is rolled back. */
async function withPostgres (
  env: Env, work: (ask: (statement: string) => Promise<unknown>) => Promise<void>
): Promise<void> {
  const client = new pg.Client({ connectionString: env['DATABASE_URL'] })
  await client.connect()
  try {
    await client.query('begin')
    await work(statement => client.query(statement))
  } finally {
    await client.end()
  }
}
