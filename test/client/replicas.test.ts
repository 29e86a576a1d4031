import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { findFreePort } from '../../scripts/services/programs.ts'
import { packageRoot } from '../../src/package-root.ts'
import { patient, serversEnv, type Env } from '../support/app.ts'
import { inForm } from '../support/form.ts'
import { password } from '../support/people.ts'
import { ownRedis } from '../support/redis-server.ts'
import { fetchFrom } from '../support/requests.ts'
import { startServer, type ServerProcess } from '../support/server-process.ts'
import { settableClock } from '../support/set-clock.ts'
import { undisturbed } from '../support/undisturbed.ts'
import { until } from '../support/wait.ts'
import { startBalancer } from '../shutdown/balancer.ts'

const lifetimeSeconds = 3
const settings: Env = {
  RATE_LIMITS: 'off', ACCESS_TOKEN_TTL: String(lifetimeSeconds), SHUTDOWN_DELAY: '1', BLOCKLIST_DEADLINE_MS: '1000'
}

/** Starts the program whose users send requests, with a clock of its own. */
function startTraveller (t: Test, args: string[], env: Env) {
  const program = join(packageRoot, '.build', 'test', 'client', 'traveller.js')
  const child = spawn(...undisturbed(process.execPath, [program, ...args], env), {
    env: { PATH: process.env['PATH'], ...env }, stdio: ['pipe', 'pipe', 'inherit']
  })
  t.teardown(() => child.kill('SIGKILL'))
  const said = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => String((await said.next()).value)
  return {
    next,
    async ask (line: 'settle' | 'sign-out' | 'stop') {
      child.stdin.write(`${line}\n`)
      return await next()
    }
  }
}

/** Registers a user. On a busy machine an answer may be lost after the user was added. */
async function register (address: string, username: string): Promise<void> {
  await until(`${username} is registered`, async () =>
    [201, 409].includes((await fetchFrom(address, 'POST /register', { body: { username, password } })).status), 30_000)
}

/** Starts two replicas behind a balancer. `restartEach` replaces one after the other. */
async function startReplicas (t: Test, env: Env) {
  const start = async (port: number) => await startServer(t, { ...env, PORT: String(port) })
  const replicas: Array<{ port: number, server: ServerProcess }> = []
  for (let number = 0; number < 2; number++) {
    const port = await findFreePort()
    replicas.push({ port, server: await start(port) })
  }
  const urls = replicas.map(({ port }) => new URL(`http://127.0.0.1:${port}`))
  const balancer = await startBalancer(t, urls, { checkEveryMs: 200, lagMs: 100 })
  const untilReady = () => until('both get requests', () => balancer.countReady() === 2, 60_000)
  await untilReady()
  return {
    address: balancer.address,
    urls,
    async restartEach () {
      for (const replica of replicas) {
        replica.server.child.kill('SIGTERM')
        await replica.server.ended
        replica.server = await start(replica.port)
        await untilReady()
      }
    }
  }
}

interface Summary { elapsedMs: number, refreshes: number[], failures: string[], events: string[], answers: number[] }

t.test('users stay signed in through a Redis outage, a rolling restart and a clock that jumps', async t => {
  const redis = await ownRedis(t)
  const env = { ...await serversEnv(t), ...settings, REDIS_URL: redis.url }
  const { address, urls, restartEach } = await startReplicas(t, env)
  const usernames = ['ada', 'grace', 'alan']
  for (const username of usernames) await register(address, username)
  const clock = settableClock(t)
  const { ask, next } = startTraveller(t, [address, password, ...usernames], clock.env)
  t.equal(await next(), 'signed in')
  for (let round = 0; round < inForm({ short: 1, long: 6 }); round++) {
    clock.set(3_600)
    t.equal(await ask('settle'), 'settled')
    redis.pause()
    await until('the outage is noticed', async () =>
      (await fetch(`${String(urls[0])}health/ready`)).status === 503, 60_000)
    clock.set(-3_600)
    redis.resume()
    t.equal(await ask('settle'), 'settled')
    await redis.kill()
    await redis.start()
    t.equal(await ask('settle'), 'settled')
    clock.set(round % 2 === 0 ? 86_400 : 0)
    await restartEach()
    t.equal(await ask('settle'), 'settled')
  }
  t.equal(await ask('sign-out'), 'ended')
  const { elapsedMs, refreshes, failures, events, answers } = JSON.parse(await ask('stop')) as Summary
  t.comment(JSON.stringify({ elapsedMs, refreshes, answers }))
  t.same(failures, [], 'every request got its answer')
  t.same([...new Set(events)].sort(), ['ended_at_server', 'signed_in', 'signed_out'])
  t.equal(events.filter(type => type === 'signed_out').length, 2, 'only the user who signed out, in both tabs')
  for (const count of refreshes) {
    t.ok(count >= 1 && count <= elapsedMs / 1000 / lifetimeSeconds, `${count} refreshes in ${elapsedMs} ms`)
  }
})

t.test('a sign-out while Redis is down is pending, and the service ends the session when Redis is back', async t => {
  const redis = await ownRedis(t)
  const { address } = await startServer(t, { ...await serversEnv(t), ...settings, ...patient, REDIS_URL: redis.url })
  await register(address, 'ada')
  const { createClient, memoryStorage } = await import('../../client/index.ts')
  const client = createClient({ baseUrl: address, storage: memoryStorage(), retryWithinMs: 0 })
  t.teardown(() => { client.close() })
  const events: string[] = []
  client.subscribe(({ type }) => { events.push(type) })
  await client.signIn({ username: 'ada', password })
  await redis.kill()
  t.same(await client.signOut(), { server: 'pending' })
  t.same(events, ['signed_in', 'signed_out'])
  await redis.start()
  await until('the session has ended', () => events.includes('ended_at_server'), 60_000)
  await client.signIn({ username: 'ada', password })
  let open: number | undefined
  await until('the new session is accepted: Redis may still lack revocations', async () => {
    open = await client.request('GET /me/sessions').then(({ sessions }) => sessions.length, () => undefined)
    return open !== undefined
  }, 30_000)
  t.equal(open, 1, 'the session that was left is over')
})
