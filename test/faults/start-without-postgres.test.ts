import t, { type Test } from 'tap'
import { findFreePort } from '../../scripts/services/programs.ts'
import { build, serversEnv, type Env } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { password, signIn, signUp } from '../support/people.ts'
import { canOwnPostgres, ownPostgres } from '../support/postgres-server.ts'
import { fetchFrom, logOut, type RequestOptions, type Route } from '../support/requests.ts'
import { messagesIn, spawnServer } from '../support/server-process.ts'
import { breathe, until } from '../support/wait.ts'
import { serviceRows } from './rows/service.ts'

/**
 * Returns the status and the body of an answer. Without an answer, returns the status 0 and the cause. That happens
 * when the stand-in has closed the port, and the service does not listen on it yet.
 */
async function ask (
  address: string, route: Route, options: RequestOptions = {}
): Promise<{ status: number, retryAfter?: string | null, body: unknown }> {
  try {
    const answer = await fetchFrom(address, route, options)
    return { status: answer.status, retryAfter: answer.headers.get('retry-after'), body: await answer.json() }
  } catch (error) {
    return { status: 0, body: (error as Error).cause }
  }
}

const logIn = (address: string, username: string) =>
  ask(address, 'POST /login', { body: { username, password } })

/** Sends requests with a token again and again. `stop` returns the statuses of the answers. */
function keepAsking (address: string, token: string): { stop (): Promise<Set<number>> } {
  const said = new Set<number>()
  const state = { isStopped: false }
  const asking = (async () => {
    while (!state.isStopped) {
      said.add((await ask(address, 'GET /token', { token })).status)
      await breathe()
    }
  })()
  return {
    async stop () {
      state.isStopped = true
      await asking
      return said
    }
  }
}

async function expectWaiting (t: Test, address: string, username: string, token: string): Promise<void> {
  const unavailable = {
    status: 503,
    retryAfter: '1',
    body: { error: 'service_unavailable', description: 'The service is unavailable. Try again.' }
  }
  t.same(await ask(address, 'GET /token', { token }), unavailable)
  t.same(await ask(address, 'POST /logout', { token }), unavailable)
  t.same(await ask(address, 'GET /.well-known/jwks.json'), unavailable)
  t.same(await ask(address, 'GET /there-is-nothing-here'), unavailable)
  t.same(await logIn(address, username), unavailable)
  t.same(await ask(address, 'GET /health/live'), { status: 200, retryAfter: null, body: { status: 'ok' } })
  t.same(await ask(address, 'GET /health/ready'), {
    status: 503, retryAfter: '1', body: { error: 'service_unavailable', description: 'Not ready: database.' }
  })
}

testFault(t, serviceRows.startWithoutPostgres, async t => {
  const postgres = await ownPostgres(t)
  const port = String(await findFreePort())
  const env: Env = { ...await serversEnv(t), DATABASE_URL: postgres.url, PORT: port }
  const before = await build(t, env)
  const { username, token: good } = await signUp(before)
  const { access_token: leaving } = await signIn(before, username)
  await logOut(before, leaving)
  await before.close()
  await postgres.kill()

  const server = spawnServer(t, env)
  const address = `http://127.0.0.1:${port}`
  await until('it listens', async () => (await ask(address, 'GET /health/live')).status === 200, 60_000)
  await expectWaiting(t, address, username, good)
  t.match(
    messagesIn(server.output()).join('\n'),
    /^signout cannot start yet: DATABASE_URL: cannot connect to .* Start Postgres there, or correct the variable\. It is tried again every second, and requests get 503 until then\.$/m
  )

  const asking = keepAsking(address, leaving)
  await postgres.start()
  await until('people sign in', async () => (await logIn(address, username)).status === 200, 60_000)
  t.equal((await ask(address, 'GET /token', { token: good })).status, 200)
  t.match(await ask(address, 'GET /token', { token: leaving }), {
    status: 401, body: { error: 'token_revoked' }
  })
  t.notOk((await asking.stop()).has(200), 'what was logged out is never accepted')
  server.child.kill('SIGTERM')
  t.equal(await server.ended, 0)
  t.equal(server.output().match(/cannot start yet/g)?.length, 1, 'it says so once')
}, { skip: !canOwnPostgres })
