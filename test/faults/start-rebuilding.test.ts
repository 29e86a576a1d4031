import t from 'tap'
import { build, serversEnv, type Env } from '../support/app.ts'
import { testFault } from '../support/fault.ts'
import { signUp } from '../support/people.ts'
import { proxyTo } from '../support/proxy.ts'
import { fillRecord } from '../support/record.ts'
import { ownRedis } from '../support/redis-server.ts'
import { fetchFrom } from '../support/requests.ts'
import { startServer } from '../support/server-process.ts'
import { timed } from '../support/wait.ts'
import { serviceRows } from './rows/service.ts'

/**
 * Enough pages for a rebuild that takes longer than a start may wait, and longer than a stop may take. Each page takes
 * a round trip over a slow network.
 */
const rows = 250_000
const delayMs = 250

testFault(t, serviceRows.startDuringRebuild, async t => {
  const env = await serversEnv(t)
  const app = await build(t, env)
  const { token } = await signUp(app)
  await app.close()
  await fillRecord(env, rows)
  const redis = await ownRedis(t)
  const proxy = await proxyTo(t, '127.0.0.1', redis.port)
  proxy.delay(delayMs)
  const slow: Env = { ...env, REDIS_URL: `redis://127.0.0.1:${proxy.port}` }
  const server = await startServer(t, slow)

  const ready = await fetchFrom(server.address, 'GET /health/ready')
  t.equal(ready.status, 503)
  t.match(
    (await ready.json() as { description: string }).description, /^Not ready: blocklist \(rebuilding, \d+ %\)\.$/
  )
  const asked = await fetchFrom(server.address, 'GET /token', { token })
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
