import { createServer, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { findFreePort } from '../../scripts/services/programs.ts'
import { createRedisBlocklist } from '../../src/blocklist/public/redis-blocklist.ts'
import { createRedisConnection } from '../../src/redis/connection.ts'
import type { Blocklist } from '../../src/revocation/blocklist.ts'
import { build, serversEnv } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { signIn, signUp } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { get, logOut } from '../support/requests.ts'
import { issuedLately, nowSeconds } from '../support/tokens.ts'
import { busyMs, timed, until } from '../support/wait.ts'
import { untilAnswered, untilLoggedOut } from './patience.ts'
import { redisRows } from './rows/redis.ts'

const deadlineMs = 200
/** Far above the deadline. Far below the waits that a missing option would cause. */
const tooLateMs = 6_000

async function blocklistAt (t: Test, port: number): Promise<Blocklist> {
  const redis = createRedisConnection(`redis://127.0.0.1:${port}`, { deadlineMs })
  const blocklist = createRedisBlocklist({ redis, prefix: 'p:', leewaySeconds: 5, deadlineMs })
  t.teardown(() => blocklist.close())
  await redis.connect().catch(() => { /* ioredis goes on connecting. */ })
  return blocklist
}

/** Asserts that every command fails, and that none of them outlives the deadline. */
async function expectPromptFailures (t: Test, blocklist: Blocklist): Promise<void> {
  for (const [name, command] of Object.entries({
    isRevoked: () => blocklist.isRevoked(issuedLately('a', 's')) as Promise<boolean>,
    revoke: () => blocklist.revoke([{ scope: 'token', id: 'a', expiresAt: nowSeconds() + 60 }]),
    ping: () => blocklist.ping()
  })) {
    for (let round = 0; round < 3; round++) {
      const { error, elapsedMs } = await timed<unknown>(command)
      t.ok(error instanceof Error, `${name} fails`)
      t.ok(elapsedMs < tooLateMs, `${name} fails within ${Math.round(elapsedMs)} ms`)
    }
  }
}

t.test('no command outlives the deadline on a dead port', async t => {
  await expectPromptFailures(t, await blocklistAt(t, await findFreePort()))
})

t.test('no command outlives the deadline on a server that accepts and says nothing', async t => {
  const sockets: Array<{ destroy (): void }> = []
  const mute = createServer(socket => { sockets.push(socket) })
  await new Promise<void>(resolve => { mute.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    mute.close()
  })
  const redis = createRedisConnection(`redis://127.0.0.1:${(mute.address() as AddressInfo).port}`, { deadlineMs })
  const blocklist = createRedisBlocklist({ redis, prefix: 'p:', leewaySeconds: 5, deadlineMs })
  t.teardown(() => blocklist.close())
  redis.connect().catch(() => { /* ioredis goes on connecting. */ })
  await until('it accepted', () => sockets.length > 0)
  await expectPromptFailures(t, blocklist)
})

t.test('no command outlives the deadline on a stalled redis-server, and commands work once it goes on', async t => {
  const server = await ownRedis(t)
  const blocklist = await blocklistAt(t, server.port)
  t.equal(await untilAnswered(() => blocklist.isRevoked(issuedLately('a'))), false)
  server.pause()
  await expectPromptFailures(t, blocklist)
  server.resume()
  await untilAnswered(() => blocklist.ping())
  await untilAnswered(() => blocklist.revoke([{ scope: 'token', id: 'b', expiresAt: nowSeconds() + 60 }]))
  t.equal(await untilAnswered(() => blocklist.isRevoked(issuedLately('b'))), true)
})

t.test('a connection that is silent with commands outstanding is given up, and does not pile them up', async t => {
  const server = await ownRedis(t)
  const blocklist = await blocklistAt(t, server.port)
  server.pause()
  const startedAt = performance.now()
  let fastFailure = false
  await until('it was given up, so that commands fail at once', async () => {
    const { elapsedMs } = await timed(() => blocklist.isRevoked(issuedLately('a')) as Promise<boolean>)
    fastFailure = elapsedMs < deadlineMs / 2
    return fastFailure
  })
  t.ok(performance.now() - startedAt < 6_000 + busyMs)
  server.resume()
  await untilAnswered(() => blocklist.ping())
  t.equal(await untilAnswered(() => blocklist.isRevoked(issuedLately('a'))), false)
})

testFault(t, redisRows.stalledOrKilled, async t => {
  const server = await ownRedis(t)
  const app = await build(t, {
    ...await serversEnv(t), REDIS_URL: server.url, BLOCKLIST_DEADLINE_MS: String(deadlineMs)
  })
  const ada = await signUp(app, 'ada')

  /**
   * Asserts that requests get 503.
   *
   * @param leaving the token to log out: its logout is recorded, although it gets 503
   */
  async function expectUnavailable (t: Test, leaving: string): Promise<void> {
    for (const request of [
      () => get(app, '/me', ada.token), () => get(app, '/token', ada.token), () => logOut(app, leaving)
    ]) {
      const { value, elapsedMs } = await timed(request)
      t.equal(value?.statusCode, 503)
      t.equal(value?.json().error, 'revocation_unavailable')
      t.equal(value?.headers['retry-after'], '1')
      t.ok(elapsedMs < tooLateMs, `within ${Math.round(elapsedMs)} ms`)
    }
    t.equal((await get(app, '/me', 'no.valid.token')).statusCode, 401)
    t.equal((await get(app, '/health/live')).statusCode, 200)
    const ready = await get(app, '/health/ready')
    t.equal(ready.statusCode, 503)
    t.same(ready.json(), { error: 'service_unavailable', description: 'Not ready: blocklist.' })
  }
  const recovered = () =>
    until('requests are answered again', async () => (await get(app, '/me', ada.token)).statusCode === 200)

  await t.test('SIGSTOP and SIGCONT', async t => {
    const { access_token: leaving } = await signIn(app, 'ada')
    server.pause()
    await expectUnavailable(t, leaving)
    server.resume()
    await recovered()
  })
  await t.test('SIGKILL and a new start', async t => {
    const { access_token: leaving } = await signIn(app, 'ada')
    await server.kill()
    await expectUnavailable(t, leaving)
    await server.start()
    await recovered()
  })
  await t.test('many requests at once while it is stopped', async t => {
    server.pause()
    const { value, elapsedMs } = await timed(() =>
      Promise.all(Array.from({ length: 100 }, () => get(app, '/token', ada.token)))
    )
    t.ok(value?.every(answer => answer.statusCode === 503))
    t.ok(elapsedMs < 2 * tooLateMs)
    server.resume()
    await recovered()
  })
  await untilLoggedOut(app, (await signIn(app, 'ada')).access_token)
})
