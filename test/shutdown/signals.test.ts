import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { build, serversEnv } from '../support/app.ts'
import { query } from '../support/database.ts'
import { onPostgres } from '../support/record.ts'
import { fetchFrom } from '../support/requests.ts'
import { messagesIn, startServer } from '../support/server-process.ts'
import { timed, until } from '../support/wait.ts'

/** Longer than a test waits. */
const long = { SHUTDOWN_DELAY: '600' }

t.test('a replica that drains is not ready, serves on, and asks for the end of connections', async t => {
  const server = await startServer(t, { ...await serversEnv(t), ...long })
  const ask = (path: '/health/ready' | '/health/live') => fetchFrom(server.address, `GET ${path}`)
  t.equal((await ask('/health/ready')).headers.get('connection'), 'keep-alive')
  server.child.kill('SIGTERM')
  await until('it is not ready', async () => (await ask('/health/ready')).status === 503)
  const answer = await ask('/health/live')
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('connection'), 'close')
  t.match(await (await ask('/health/ready')).json(), { description: 'Not ready: shutdown.' })

  await t.test('a later signal ends the delay', async t => {
    // The first one was sent before at least one answer, and one that follows within a second would be the same one.
    await setTimeout(1_200)
    t.equal((await ask('/health/live')).status, 200)
    server.child.kill('SIGTERM')
    t.equal(await server.ended, 0)
    t.match(messagesIn(server.output()).filter(line => /^(Draining|Stopped)/.test(line)), [/^Draining: /, 'Stopped.'])
  })
})

t.test('SIGINT ends the service at once, and another replica is the projector right away', async t => {
  const env = { ...await serversEnv(t), ...long }
  const server = await startServer(t, env)
  const select = 'select holder from projector_lease'
  let before: string | undefined
  // Read before another replica starts, which may get the lease while this one waits for a core.
  await until('it has the lease', async () => {
    before = (await onPostgres<{ holder: string }>(env, select))[0]?.holder
    return before !== undefined
  })
  const app = await build(t, env)
  server.child.kill('SIGINT')
  const { value: code, elapsedMs } = await timed(() => server.ended)
  t.equal(code, 0)
  t.ok(elapsedMs < 8_000, `after ${Math.round(elapsedMs)} ms`)
  await until('the other one has the lease', async () =>
    (await query<{ holder: string }>(app, select))[0]?.holder !== before)
})
