import t from 'tap'
import { build, serversEnv, type Env } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { signUp } from '../support/people.ts'
import { proxyTo } from '../support/proxy.ts'
import { fillRecord } from '../support/record.ts'
import { ownRedis } from '../support/redis-server.ts'
import { startServer } from '../support/server-process.ts'
import { timed } from '../support/wait.ts'

/**
 * So many pages, each of which takes a trip over a slow network: longer than a start may wait, and than a stop may
 * take.
 */
const rows = 250_000
const delayMs = 250

testFault(t, {
  fault: 'A replica starts on a Redis that is empty, or stops, while there are many revocations to write',
  promise: 'P2',
  get:
    '503 `revocation_unavailable`, with a `Retry-After` that says how long it will take, and `rebuilding` with its progress at `/health/ready`',
  within: 'from 5 s after the start on; a replica that is stopped leaves the rebuild to others',
  never: 'a port that refuses connections until everything is written, nor 200 for what was logged out',
  recovers: 'by itself'
}, async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { token } = await signUp(app)
  await app.close()
  await fillRecord(env, rows)
  const redis = await ownRedis(t)
  const proxy = await proxyTo(t, '127.0.0.1', redis.port)
  proxy.delay(delayMs)
  const slow: Env = { ...env, REDIS_URL: `redis://127.0.0.1:${proxy.port}`, BLOCKLIST_DEADLINE_MS: '5000' }
  const server = await startServer(t, slow)

  const ready = await fetch(`${server.address}/health/ready`)
  t.equal(ready.status, 503)
  t.match(
    (await ready.json() as { description: string }).description, /^Not ready: blocklist \(rebuilding, \d+ %\)\.$/
  )
  const asked = await fetch(`${server.address}/token`, { headers: { authorization: `Bearer ${token}` } })
  t.equal(asked.status, 503)
  t.match(await asked.json(), { error: 'revocation_unavailable' })
  t.ok(Number(asked.headers.get('retry-after')) > 1, `Retry-After: ${asked.headers.get('retry-after')}`)

  const { value: code, elapsedMs } = await timed(() => {
    server.child.kill('SIGTERM')
    return server.ended
  })
  t.equal(code, 0, `it has stopped after ${Math.round(elapsedMs)} ms`)
  t.notMatch(server.output(), 'made again', 'and the rebuild was not finished')
})
