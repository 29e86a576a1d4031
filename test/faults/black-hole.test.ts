import t from 'tap'
import { testFault } from '../support/fault.ts'
import { signIn } from '../support/people.ts'
import { proxied, startReplicas, untilAccepted } from '../support/replicas.ts'
import { ownRedis } from '../support/redis-server.ts'
import { get, outcome } from '../support/requests.ts'
import { busyMs, timed, until } from '../support/wait.ts'
import { expectRefused, untilLoggedOut } from './patience.ts'
import { redisRows } from './rows/redis.ts'

const deadlineMs = 300

testFault(t, redisRows.stalled, async t => {
  const replicas = await startReplicas(t, { BLOCKLIST_DEADLINE_MS: String(deadlineMs) })
  const { a, apps, redis, good, log } = replicas
  redis.pause()
  for (let misses = 0; misses < 3; misses++) {
    t.equal(outcome(await get(a, '/token', good)), '503 revocation_unavailable')
  }
  // Sends a request every ten milliseconds, without waiting for the answers.
  const asked: Array<ReturnType<typeof timed<Awaited<ReturnType<typeof get>>>>> = []
  while (asked.length < 30) {
    asked.push(timed(() => get(a, '/token', good)))
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  const answers = await Promise.all(asked)
  t.ok(answers.every(({ value }) => value?.statusCode === 503))
  const quick = answers.filter(({ elapsedMs }) => elapsedMs < deadlineMs / 2).length
  t.ok(quick >= 20, `${quick} of 30 are refused at once`)
  const { elapsedMs } = await timed(() => Promise.all(Array.from({ length: 100 }, () => get(a, '/token', good))))
  t.ok(elapsedMs < 20 * deadlineMs, `100 at once in ${Math.round(elapsedMs)} ms`)
  redis.resume()
  await untilAccepted(apps, good, 3_000 + busyMs)
  t.match(log.join(''), 'Redis is unavailable.')
  await until('the end is logged', () => log.join('').includes('"msg":"Redis is back."'), 30_000)
})

testFault(t, redisRows.unreachable, async t => {
  const redis = await ownRedis(t)
  const { proxy, env } = await proxied(t, { REDIS_URL: redis.url }, 'REDIS_URL')
  const { a, apps, username, good, leaving } = await startReplicas(t, {
    ...env, BLOCKLIST_DEADLINE_MS: String(deadlineMs)
  })
  await untilLoggedOut(a, leaving)
  for (const holeMs of [1_000, 6_000]) {
    proxy.stall()
    const { value, elapsedMs: firstMs } = await timed(() => get(a, '/token', good))
    t.equal(value?.statusCode, 503)
    t.ok(firstMs < 4 * deadlineMs + busyMs, `the first one within ${Math.round(firstMs)} ms`)
    await new Promise(resolve => setTimeout(resolve, holeMs))
    for (const token of [good, leaving]) t.equal(outcome(await get(a, '/token', token)), '503 revocation_unavailable')
    proxy.resume()
    const { elapsedMs } = await timed(() => untilAccepted(apps, good))
    t.ok(elapsedMs < 5_000 + busyMs, `back ${Math.round(elapsedMs)} ms after the network`)
    await expectRefused(t, apps, leaving)
  }
  const { access_token: next } = await signIn(a, username)
  await untilLoggedOut(a, next)
})
