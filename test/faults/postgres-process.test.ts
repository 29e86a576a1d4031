import t, { type Test } from 'tap'
import { testFault } from '../support/fault.ts'
import { password } from '../support/people.ts'
import { canOwnPostgres, ownPostgres, type OwnPostgres } from '../support/postgres-server.ts'
import { pgBouncerTo } from '../support/pgbouncer.ts'
import { logOutFor, startReplicas, untilAccepted, type Replicas } from '../support/replicas.ts'
import { get, logOut, outcome, send } from '../support/requests.ts'
import { busyMs, timed, until } from '../support/wait.ts'
import { postgresRows } from './rows/postgres.ts'

const deadlineMs = 2500

/**
 * Starts two replicas with a Postgres of their own, and logs one of the two tokens out.
 *
 * @param through returns the address at which the replicas reach Postgres, such as that of a PgBouncer
 */
async function withOwnPostgres (
  t: Test, through = async (url: string) => url
): Promise<Replicas & { postgres: OwnPostgres }> {
  const postgres = await ownPostgres(t)
  const replicas = await startReplicas(t, {
    DATABASE_URL: await through(postgres.url), DATABASE_DEADLINE_MS: String(deadlineMs)
  })
  await logOutFor(t, replicas.a, replicas.leaving)
  return { ...replicas, postgres }
}

/** Asserts that tokens are checked as usual, and that requests which need Postgres get 503 within ten deadlines. */
async function expectOutage (t: Test, { a, apps, username, good, leaving }: Replicas): Promise<void> {
  // At once, because each waits for the deadline.
  const outcomes = await Promise.all(Object.entries({
    'POST /login': () => send(a, 'POST /login', { body: { username, password } }),
    'POST /logout': () => logOut(a, good),
    'GET /me': () => get(a, '/me', good)
  }).map(async ([name, request]) => ({ name, ...await timed(request) })))
  for (const { name, value, elapsedMs } of outcomes) {
    t.equal(value && outcome(value), '503 service_unavailable', name)
    t.ok(elapsedMs < 10 * deadlineMs, `${name}: within ${Math.round(elapsedMs)} ms`)
  }
  for (const app of apps) {
    t.equal(outcome(await get(app, '/token', good)), '200')
    t.equal(outcome(await get(app, '/token', leaving)), '401 token_revoked')
  }
}

async function expectBack (t: Test, { a, apps, username, good, leaving }: Replicas): Promise<void> {
  await until(
    'people sign in again',
    async () => (await send(a, 'POST /login', { body: { username, password } })).statusCode === 200,
    5_000 + busyMs
  )
  await untilAccepted(apps, good)
  for (const app of apps) {
    const answer = outcome(await get(app, '/token', good))
    t.equal(answer, '200', `what could not be recorded has not happened: ${answer}`)
  }
  await logOutFor(t, a, good)
  for (const app of apps) {
    for (const token of [good, leaving]) t.equal(outcome(await get(app, '/token', token)), '401 token_revoked')
  }
}

testFault(t, postgresRows.stalled, async t => {
  const replicas = await withOwnPostgres(t)
  replicas.postgres.pause()
  await expectOutage(t, replicas)
  replicas.postgres.resume()
  await expectBack(t, replicas)
}, { skip: !canOwnPostgres })

testFault(t, postgresRows.killed, async t => {
  const replicas = await withOwnPostgres(t)
  await replicas.postgres.kill()
  await expectOutage(t, replicas)
  await replicas.redis.kill()
  await replicas.postgres.start()
  await replicas.redis.start()
  await untilAccepted(replicas.apps, replicas.good)
  await expectBack(t, replicas)
}, { skip: !canOwnPostgres })

testFault(t, postgresRows.behindPgBouncer, async t => {
  const replicas = await withOwnPostgres(t, url =>
    pgBouncerTo(t, url, { pool_mode: 'transaction', server_login_retry: 1 })
  )
  const { apps, a, good, username, postgres } = replicas
  postgres.pause()
  await expectOutage(t, replicas)
  postgres.resume()
  await until(
    'people sign in again',
    async () => (await send(a, 'POST /login', { body: { username, password } })).statusCode === 200
  )
  await untilAccepted(apps, good)
  await postgres.kill()
  await expectOutage(t, replicas)
  await postgres.start()
  await expectBack(t, replicas)
}, { skip: !canOwnPostgres })
