import t, { type Test } from 'tap'
import { outcome } from '../support/device.ts'
import { testFault } from '../support/fault.ts'
import { ask } from '../support/expect.ts'
import { get, logOut, password } from '../support/people.ts'
import { canOwnPostgres, ownPostgres, type OwnPostgres } from '../support/postgres-server.ts'
import { pgBouncerTo } from '../support/pgbouncer.ts'
import { logOutFor, startReplicas, untilAccepted, type Replicas } from '../support/replicas.ts'
import { timed, until } from '../support/wait.ts'

const deadlineMs = 300

/** @param through what the replicas reach Postgres through, which returns its own address */
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

/** Tokens are checked as ever, and what needs the database is a 503 in time. */
async function expectOutage (t: Test, { a, apps, username, good, leaving }: Replicas): Promise<void> {
  for (const [name, request] of Object.entries({
    'POST /login': () => ask(a, 'POST', '/login', undefined, { username, password }),
    'POST /logout': () => logOut(a, good),
    'GET /me': () => get(a, '/me', good)
  })) {
    const { value, elapsedMs } = await timed(request)
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
    async () => (await ask(a, 'POST', '/login', undefined, { username, password })).statusCode === 200,
    5_000
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

testFault(t, {
  fault: 'Postgres stands still (SIGSTOP)',
  get:
    'what they always get where only a token is checked, and 503 `service_unavailable` where the database is needed, logouts included',
  within: 'a few times `DATABASE_DEADLINE_MS`',
  never: '200 for a logout that was not recorded, nor for what was logged out before',
  recovers: 'by itself, within 5 s'
}, async t => {
  const replicas = await withOwnPostgres(t)
  replicas.postgres.pause()
  await expectOutage(t, replicas)
  replicas.postgres.resume()
  await expectBack(t, replicas)
}, { skip: !canOwnPostgres })

testFault(t, {
  fault: 'Postgres is killed, and started again',
  get: 'what they always get where only a token is checked, and 503 `service_unavailable` where the database is needed',
  within: 'at once',
  never: 'the end of the process, nor the loss of a logout that was answered',
  recovers: 'by itself, within 5 s of its start'
}, async t => {
  const replicas = await withOwnPostgres(t)
  await replicas.postgres.kill()
  await expectOutage(t, replicas)
  await replicas.redis.kill()
  await replicas.postgres.start()
  await replicas.redis.start()
  await untilAccepted(replicas.apps, replicas.good)
  await expectBack(t, replicas)
}, { skip: !canOwnPostgres })

testFault(t, {
  fault: 'Postgres stands still behind PgBouncer, then it is killed and started again',
  get:
    'what they always get where only a token is checked, and 503 `service_unavailable` where the database is needed, logouts included',
  within: 'a few times `DATABASE_DEADLINE_MS`',
  never: '200 for a logout that was not recorded, nor for what was logged out before',
  recovers: 'by itself, within 5 s of the next attempt of PgBouncer (`server_login_retry`)'
}, async t => {
  const replicas = await withOwnPostgres(t, url =>
    pgBouncerTo(t, url, { pool_mode: 'transaction', server_login_retry: 1 })
  )
  const { apps, a, good, username, postgres } = replicas
  postgres.pause()
  await expectOutage(t, replicas)
  postgres.resume()
  await until(
    'people sign in again',
    async () => (await ask(a, 'POST', '/login', undefined, { username, password })).statusCode === 200
  )
  await untilAccepted(apps, good)
  await postgres.kill()
  await expectOutage(t, replicas)
  await postgres.start()
  await expectBack(t, replicas)
}, { skip: !canOwnPostgres })
