import t, { type Test } from 'tap'
import { testFault } from '../support/fault.ts'
import { signIn } from '../support/people.ts'
import type { Proxy } from '../support/proxy.ts'
import { ownRedis } from '../support/redis-server.ts'
import { expectNeverAccepted, proxied, startReplicas, untilAccepted, type Replicas } from '../support/replicas.ts'
import { get, logOut, outcome } from '../support/requests.ts'
import { busyMs, timed, until } from '../support/wait.ts'
import { expectRefused, untilLoggedOut } from './patience.ts'
import { redisRows } from './rows/redis.ts'

const deadlineMs = 300

/** Starts two replicas with a proxy between them and their Redis, and logs one of the two tokens out. */
async function behindProxy (t: Test): Promise<Replicas & { proxy: Proxy }> {
  const redis = await ownRedis(t)
  const { proxy, env } = await proxied(t, { REDIS_URL: redis.url }, 'REDIS_URL')
  const replicas = await startReplicas(t, { ...env, BLOCKLIST_DEADLINE_MS: String(deadlineMs) })
  await untilLoggedOut(replicas.a, replicas.leaving)
  return { ...replicas, proxy }
}

testFault(t, redisRows.connectionsReset, async t => {
  const replicas = await behindProxy(t)
  await expectNeverAccepted(t, replicas, replicas.leaving, async () => {
    replicas.proxy.reset()
    const { elapsedMs } = await timed(() => untilAccepted(replicas.apps, replicas.good))
    t.ok(elapsedMs < 5_000 + busyMs, `back after ${Math.round(elapsedMs)} ms`)
  })
})

testFault(t, redisRows.connectionsHalfOpen, async t => {
  const replicas = await behindProxy(t)
  await expectNeverAccepted(t, replicas, replicas.leaving, async () => {
    replicas.proxy.halfOpen()
    const { value, elapsedMs } = await timed(() => get(replicas.a, '/token', replicas.good))
    t.equal(value?.statusCode, 503)
    t.ok(elapsedMs < 4 * deadlineMs + busyMs, `within ${Math.round(elapsedMs)} ms`)
    const { elapsedMs: untilBackMs } = await timed(() => untilAccepted(replicas.apps, replicas.good))
    t.ok(untilBackMs < 5_000 + busyMs, `back after ${Math.round(untilBackMs)} ms`)
  })
})

testFault(t, redisRows.repliesLost, async t => {
  const { a, apps, username, good, leaving, proxy } = await behindProxy(t)
  const { access_token: later } = await signIn(a, username)
  proxy.loseReplies()
  for (const answer of [await get(a, '/token', good), await get(a, '/token', leaving), await logOut(a, later)]) {
    t.equal(outcome(answer), '503 revocation_unavailable')
  }
  const { value, elapsedMs } = await timed(() => logOut(a, later))
  t.equal(value?.statusCode, 503)
  t.ok(elapsedMs < 6 * deadlineMs + busyMs, `within ${Math.round(elapsedMs)} ms`)
  proxy.keepReplies()
  const { elapsedMs: untilBackMs } = await timed(() => untilAccepted(apps, good))
  t.ok(untilBackMs < 5_000 + busyMs, `back after ${Math.round(untilBackMs)} ms`)
  for (const token of [leaving, later]) await expectRefused(t, apps, token)
})

testFault(t, redisRows.slow, async t => {
  const { apps, good, leaving, proxy } = await behindProxy(t)
  proxy.delay(20)
  for (const app of apps) {
    await until('a good token is accepted', async () => {
      const { value, elapsedMs } = await timed(() => get(app, '/token', good))
      if (value?.statusCode === 200) t.ok(elapsedMs >= 35, 'there and back')
      return value?.statusCode === 200
    })
  }
  await expectRefused(t, apps, leaving)
  proxy.delay(deadlineMs)
  for (const app of apps) {
    for (const token of [good, leaving]) t.equal(outcome(await get(app, '/token', token)), '503 revocation_unavailable')
  }
  proxy.delay(0)
  await untilAccepted(apps, good)
  await expectRefused(t, apps, leaving)
})
