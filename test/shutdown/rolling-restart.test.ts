import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { findFreePort } from '../../scripts/services/programs.ts'
import { serversEnv, type Env } from '../support/app.ts'
import { password, signInAt } from '../support/people.ts'
import { fetchFrom, type Route } from '../support/requests.ts'
import { messagesIn, startServer, type ServerProcess } from '../support/server-process.ts'
import { until } from '../support/wait.ts'
import { startBalancer } from './balancer.ts'

/** Longer than the balancer takes to learn that a replica drains, also on a busy machine. */
const settings: Env = { SHUTDOWN_DELAY: '6', RATE_LIMITS: 'off' }
const askers = 4

/** Sends requests one after another, and counts the answers by route and status. */
async function keepAsking (
  address: string, pair: Awaited<ReturnType<typeof signInAt>>, signal: AbortSignal, counts: Map<string, number>
): Promise<void> {
  let { refresh_token: refreshToken } = pair
  for (let turn = 0; !signal.aborted; turn++) {
    const route: Route = turn % 10 === 0 ? 'POST /refresh' : turn % 2 === 0 ? 'GET /me' : 'GET /token'
    const answer = await fetchFrom(address, route, route === 'POST /refresh'
      ? { body: { refresh_token: refreshToken } }
      : { token: pair.access_token }).catch(() => undefined)
    const key = `${route} ${answer?.status ?? 'broken off'}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
    const body = await answer?.json().catch(() => undefined) as { refresh_token?: string } | undefined
    refreshToken = body?.refresh_token ?? refreshToken
    await setTimeout(60)
  }
}

t.test('three replicas are restarted behind a balancer that learns it late, and no request fails', async t => {
  const env = { ...await serversEnv(t), ...settings }
  const replicas: Array<{ url: URL, server: ServerProcess }> = []
  const start = async (port: number) => await startServer(t, { ...env, PORT: String(port) })
  for (let number = 0; number < 3; number++) {
    const port = await findFreePort()
    replicas.push({ url: new URL(`http://127.0.0.1:${port}`), server: await start(port) })
  }
  const balancer = await startBalancer(t, replicas.map(({ url }) => url), { checkEveryMs: 500, lagMs: 1000 })
  const untilAllAreReady = () => until('all get requests', () => balancer.countReady() === 3, 60_000)
  await untilAllAreReady()
  await fetchFrom(balancer.address, 'POST /register', { body: { username: 'ada', password } })
  const [over, counts] = [new AbortController(), new Map<string, number>()]
  const pairs = await Promise.all(Array.from({ length: askers }, () => signInAt(balancer.address, 'ada')))
  const asking = pairs.map(pair => keepAsking(balancer.address, pair, over.signal, counts))
  for (const replica of replicas) {
    replica.server.child.kill('SIGTERM')
    t.equal(await replica.server.ended, 0)
    t.match(messagesIn(replica.server.output()).slice(-1), ['Stopped.'])
    replica.server = await start(Number(replica.url.port))
    await untilAllAreReady()
  }
  over.abort()
  await Promise.all(asking)
  t.comment(JSON.stringify(Object.fromEntries(counts)))
  t.same([...counts.keys()].sort(), ['GET /me 200', 'GET /token 200', 'POST /refresh 200'])
})
